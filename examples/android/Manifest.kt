package fedp

import java.nio.ByteBuffer
import java.nio.ByteOrder
import java.security.MessageDigest
import org.json.JSONArray
import org.json.JSONObject

class ArtifactError(message: String) : Exception(message)

/** A weight, or a slot of the optimizer: its name in the signatures, and how many numbers. */
class WeightSpec(val name: String, val shape: List<Int>) {
    val size = shape.fold(1, Int::times)
}

/** What the loop and the guard need of the manifest; docs/contract.md has all of it. */
class Manifest(fields: JSONObject) {
    val sha256: String = fields.getString("sha256")
    val batchSize: Int = fields.getInt("batch_size")
    val fixedBatch: Boolean = fields.getBoolean("fixed_batch")
    val inputShape = ints(fields.getJSONArray("input_shape"))
    val inputIsInt = fields.getString("input_dtype") == "int32"
    /** Of what `train` and `evaluate` take as x; null where they take the inputs. */
    val featuresShape = fields.optJSONArray("features_shape")?.let(::ints)
    val classes = fields.getJSONArray("classes").length()
    val labelShape = ints(fields.getJSONObject("labels").getJSONArray("shape"))
    val labelsAreClasses =
        fields.getJSONObject("labels").getString("loss") != "mean_squared_error"
    val weights = specs(fields.getJSONArray("weights"))
    val slots = specs(fields.getJSONArray("slots"))
    val policy =
        fields.getJSONObject("policy").let {
            Policy(
                learningRate = it.getDouble("learning_rate"),
                epochs = it.getInt("epochs"),
                holdOut = it.getDouble("hold_out"),
                minHoldOut = it.getInt("min_hold_out"),
                margin = it.getDouble("margin"),
                guard = it.getString("guard"),
                folds = it.getInt("folds"),
                blends =
                    it.getJSONArray("blends").let { b ->
                        (0 until b.length()).map(b::getDouble)
                    },
                caution = it.getDouble("caution"),
            )
        }
    /** Of one example's answer. */
    val answerShape = if (labelsAreClasses) labelShape + classes else labelShape

    companion object {
        const val CONTRACT = 2

        /** Finds the manifest, and proves that no byte has changed since the export. */
        fun of(file: ByteBuffer): Manifest {
            val bytes = file.duplicate().order(ByteOrder.LITTLE_ENDIAN)
            val range =
                try {
                    find(bytes)
                } catch (error: IndexOutOfBoundsException) {
                    throw ArtifactError("the file is damaged (cut short?): $error")
                }
            val text = ByteArray(range.last + 1 - range.first)
            bytes.position(range.first)
            bytes.get(text)
            val manifest = String(text, Charsets.UTF_8)
            if (!SEAL.containsMatchIn(manifest)) throw ArtifactError("no fedp manifest")
            if (hash(bytes, range.first) != manifest.substring(11, 75))
                throw ArtifactError("it differs from what was exported: copy it again")
            val fields = JSONObject(manifest)
            val contract = fields.getInt("contract")
            if (contract != CONTRACT)
                throw ArtifactError("it speaks contract $contract, this host $CONTRACT")
            return Manifest(fields)
        }

        private val SEAL =
            Regex("^\\{\"sha256\":\"[0-9a-f]{64}\",\"signature\":\"[0-9a-f]{128}\"")

        /** SHA-256 of the file, the hash's 64 digits taken as zeros. */
        private fun hash(file: ByteBuffer, begin: Int): String {
            val digest = MessageDigest.getInstance("SHA-256")
            digest.update(part(file, 0, begin + 11))
            digest.update("0".repeat(64).toByteArray())
            digest.update(part(file, begin + 75, file.limit()))
            return digest.digest().joinToString("") { "%02x".format(it) }
        }

        private fun part(file: ByteBuffer, begin: Int, end: Int): ByteBuffer {
            val part = file.duplicate()
            part.limit(end)
            part.position(begin)
            return part
        }

        /** Model.metadata (field 6) names a buffer of Model.buffers (field 4). */
        private fun find(file: ByteBuffer): IntRange {
            if (file.limit() < 8 || file.getInt(4) != 0x334C4654) // "TFL3"
                throw ArtifactError("no TFLite file")
            val model = file.getInt(0)
            val buffers = vector(file, model, 4)
            for (entry in vector(file, model, 6)) {
                val name = field(file, entry, 0) ?: continue
                if (String(content(file, name), Charsets.UTF_8) != "fedp_manifest") continue
                // A field that is 0 may be absent, and buffer 0 is always empty.
                val index = file.getInt(field(file, entry, 1) ?: continue)
                if (index !in buffers.indices) throw ArtifactError("the file is damaged")
                val data = field(file, buffers[index], 0) ?: continue
                val begin = data + file.getInt(data) + 4
                val end = begin + file.getInt(begin - 4)
                if (end < begin || end > file.limit())
                    throw ArtifactError("the file is damaged (cut short?)")
                return begin until end
            }
            throw ArtifactError("no fedp manifest: only what `fedp export` wrote adapts")
        }

        private fun field(file: ByteBuffer, table: Int, number: Int): Int? {
            val vtable = table - file.getInt(table)
            if (file.getShort(vtable) < 6 + 2 * number) return null
            val offset = file.getShort(vtable + 4 + 2 * number).toInt()
            return if (offset == 0) null else table + offset
        }

        private fun vector(file: ByteBuffer, table: Int, number: Int): List<Int> {
            val at = field(file, table, number) ?: return emptyList()
            val start = at + file.getInt(at)
            val count = file.getInt(start)
            if (count < 0 || count > file.limit() / 4) throw ArtifactError("the file is damaged")
            return List(count) { (start + 4 + 4 * it).let { slot -> slot + file.getInt(slot) } }
        }

        private fun content(file: ByteBuffer, at: Int): ByteArray {
            val start = at + file.getInt(at)
            val count = file.getInt(start)
            if (count < 0 || count > file.limit()) throw ArtifactError("the file is damaged")
            return ByteArray(count) { file.get(start + 4 + it) }
        }

        private fun ints(values: JSONArray) = List(values.length()) { values.getInt(it) }

        private fun specs(entries: JSONArray) =
            List(entries.length()) {
                val entry = entries.getJSONObject(it)
                WeightSpec(entry.getString("name"), ints(entry.getJSONArray("shape")))
            }
    }
}
