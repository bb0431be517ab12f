package fedp

import java.nio.ByteBuffer
import java.util.Base64
import org.json.JSONArray
import org.json.JSONObject
import org.junit.Assert.assertArrayEquals
import org.junit.Assert.assertEquals
import org.junit.Test

/** Copy device_runtime/vectors to src/test/resources/vectors. */
class GuardTest {
    @Test
    fun decidesAsPythonDoes() = each("guard.json") { vector ->
        val told = vector.getJSONObject("evidence")
        val candidates = LinkedHashMap<Candidate, Score>()
        for (fields in objects(told.getJSONArray("candidates")))
            candidates[candidate(fields)] = score(fields)
        val evidence =
            Evidence(
                score(told.getJSONObject("initial")),
                candidates,
                told.getInt("examples"),
                told.getInt("distinct"),
                told.getBoolean("finite"),
                told.getBoolean("classes"),
            )
        val found = decide(evidence, policy(vector.getJSONObject("policy")))
        candidate(vector.getJSONObject("decision")) to Candidate(found.epochs, found.blend)
    }

    @Test
    fun asksForTheSameCandidates() = each("candidates.json") { vector ->
        val wanted = objects(vector.getJSONArray("candidates")).map(::candidate)
        wanted to candidatesOf(policy(vector.getJSONObject("policy")))
    }

    @Test
    fun splitsTheSameWayInTheSameOrder() = each("trials.json") { vector ->
        val labels = vector.getJSONArray("labels")
        val numbers = vector.getString("label_dtype") == "float32"
        val parts = (0 until labels.length()).map { labels.get(it) }
        val plain = !numbers && parts.none { it is JSONArray }
        val flat = parts.flatMap { (it as? JSONArray)?.let(::doubles) ?: listOf(it as Number) }
        val oneClass = !numbers && flat.filter { it.toInt() >= 0 }.toSet().size == 1
        val found =
            trialsOf(
                policy(vector.getJSONObject("policy")),
                ints(vector.getJSONArray("order")),
                if (plain) ints(labels) else null,
                oneClass,
            )
        val wanted = objects(vector.getJSONArray("trials"))
        assertEquals(vector.getString("name"), wanted.size, found.size)
        wanted.zip(found) { one, other ->
            assertArrayEquals(ints(one.getJSONArray("adapt")), other.adapt)
            assertArrayEquals(ints(one.getJSONArray("judge")), other.judge)
        }
        wanted.size to found.size
    }

    @Test
    fun blendsAsPythonDoes() = each("blend.json") { vector ->
        val (initial, adapted, live) =
            listOf("initial", "adapted", "live").map { floats(vector.getJSONArray(it)) }
        live.toList() to blended(initial, adapted, vector.getDouble("blend")).toList()
    }

    @Test
    fun readsWholeFilesAlone() = each("seal.json") { vector ->
        val file = ByteBuffer.wrap(Base64.getDecoder().decode(vector.getString("file")))
        val refused =
            try {
                Manifest.of(file)
                false
            } catch (error: ArtifactError) {
                true
            }
        !vector.isNull("error") to refused
    }

    @Test
    fun watchesAsPythonDoes() = each("watch.json") { vector ->
        val told = vector.getJSONObject("policy")
        val expected = vector.optJSONObject("expected")
        val restore = "restore_evidence"
        val policy =
            WatchPolicy(
                told.getDouble("revert_evidence"),
                if (told.isNull(restore)) null else told.getDouble(restore),
                told.getDouble("caution"),
            )
        val watch =
            Watch(
                expected?.let { Expected(it.getDouble("hits"), it.getInt("examples")) },
                policy,
                vector.getBoolean("reverted"),
            )
        assertEquals(vector.getDouble("least"), watch.least, 1e-12)
        val outcomes = arrays(vector.getJSONArray("outcomes"))
        arrays(vector.getJSONArray("verdicts")).zip(outcomes) { wanted, outcome ->
            val (personalized, initial) =
                listOf(0, 1).map { if (outcome.isNull(it)) null else outcome.getDouble(it) }
            val found = watch.add(personalized, initial)
            assertEquals(wanted.getBoolean(0), found.reverted)
            assertEquals(wanted.getBoolean(1), found.changed)
            assertEquals(1.0, found.evidence / wanted.getDouble(2), 1e-9)
        }
        0 to 0
    }

    private fun each(file: String, wantedAndFound: (JSONObject) -> Pair<Any, Any>) {
        val text = checkNotNull(javaClass.getResource("/vectors/$file")).readText()
        val vectors = objects(JSONArray(text))
        check(vectors.isNotEmpty())
        for (vector in vectors) {
            val (wanted, found) = wantedAndFound(vector)
            assertEquals("$file: ${vector.getString("name")}", wanted, found)
        }
    }

    private fun policy(fields: JSONObject) =
        Policy(
            epochs = fields.optInt("epochs", 5),
            holdOut = fields.optDouble("hold_out", 0.25),
            minHoldOut = fields.optInt("min_hold_out", 3),
            margin = fields.optDouble("margin", 0.0),
            guard = fields.getString("guard"),
            folds = fields.optInt("folds", 4),
            blends = fields.optJSONArray("blends")?.let(::doubles) ?: listOf(1.0),
            caution = fields.optDouble("caution", 1.25),
        )

    private fun candidate(fields: JSONObject) =
        Candidate(fields.getInt("epochs"), fields.getDouble("blend"))

    private fun score(fields: JSONObject) =
        Score(floats(fields.getJSONArray("losses")), floats(fields.getJSONArray("correct")))

    /** "NaN" and "Infinity" are strings, which `toDouble` reads. */
    private fun doubles(values: JSONArray) =
        (0 until values.length()).map { values.get(it).toString().toDouble() }

    private fun floats(values: JSONArray) = doubles(values).map { it.toFloat() }.toFloatArray()

    private fun ints(values: JSONArray) = IntArray(values.length()) { values.getInt(it) }

    private fun arrays(values: JSONArray) =
        (0 until values.length()).map { values.getJSONArray(it) }

    private fun objects(values: JSONArray) =
        (0 until values.length()).map { values.getJSONObject(it) }
}
