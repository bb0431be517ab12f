package fedp

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
        val flat = parts.flatMap { if (it is JSONArray) ints(it).toList() else listOf(it as Number) }
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
            caution = fields.optDouble("caution", 0.75),
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

    private fun objects(values: JSONArray) =
        (0 until values.length()).map { values.getJSONObject(it) }
}
