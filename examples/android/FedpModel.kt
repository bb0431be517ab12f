package fedp

import java.io.Closeable
import java.nio.ByteBuffer
import java.nio.ByteOrder
import org.tensorflow.lite.Interpreter

/**
 * The artifact's signatures, for one thread at a time. It starts as the initial model.
 *
 * `file` is a MappedByteBuffer, or a direct one in native order. Weights, and slots of the
 * optimizer, are one FloatArray each, in the manifest's order. Batches are padded with rows
 * of zeros, so that each signature keeps one shape.
 */
class FedpModel(file: ByteBuffer, threads: Int = 1) : Closeable {
    val manifest = Manifest.of(file)
    private val interpreter = Interpreter(file, Interpreter.Options().setNumThreads(threads))
    private val trainShape = manifest.featuresShape ?: manifest.inputShape
    private val trainIsInt = manifest.inputIsInt && manifest.featuresShape == null
    private val labelIsInt = manifest.labelsAreClasses
    private val outputs = HashMap<String, ByteBuffer>()
    private val sized = HashSet<String>()
    private val unused = mapOf("unused" to direct(1))

    fun reset() {
        run("reset", unused, mapOf("done" to 1))
    }

    fun save(): FloatArray = read("save", manifest.weights)

    /** Also zeroes the optimizer's slots. */
    fun restore(weights: FloatArray) = write("restore", manifest.weights, weights)

    fun saveSlots(): FloatArray = read("save_slots", manifest.slots)

    /** After `restore`. */
    fun restoreSlots(slots: FloatArray) = write("restore_slots", manifest.slots, slots)

    /** What `train` and `evaluate` take as x; it stays the same for a whole adaptation. */
    fun features(x: Rows): Rows {
        val shape = manifest.featuresShape ?: return x
        val found = FloatArray(x.count * size(shape))
        for (first in 0 until x.count step manifest.batchSize) {
            val inputs =
                mapOf("x" to batch("features", x, first, manifest.inputShape, manifest.inputIsInt))
            run("features", inputs, mapOf("features" to rows("features") * size(shape)))
            take("features/features", found, first * size(shape))
        }
        return Rows.floats(size(shape), found)
    }

    /** One step of the optimizer on at most B examples; their mean loss before it. */
    fun train(x: Rows, y: Rows, learningRate: Double): Float {
        require(x.count in 1..manifest.batchSize && y.count == x.count)
        val weight = direct(rows("train"))
        for (i in 0 until x.count) weight.putFloat(4 * i, 1f)
        val inputs =
            mapOf(
                "x" to batch("train", x, 0, trainShape, trainIsInt),
                "y" to batch("train", y, 0, manifest.labelShape, labelIsInt),
                "weight" to shaped("train", weight, listOf(rows("train")), false),
                "learning_rate" to direct(1).putFloat(0, learningRate.toFloat()),
            )
        run("train", inputs, mapOf("loss" to 1))
        return outputs.getValue("train/loss").getFloat(0)
    }

    /** Loss of each example, and the share of its labels that are hit. */
    fun evaluate(x: Rows, y: Rows): Score {
        require(y.count == x.count)
        val found = Score(FloatArray(x.count), FloatArray(x.count))
        val rows = rows("evaluate")
        for (first in 0 until x.count step rows) {
            val inputs =
                mapOf(
                    "x" to batch("evaluate", x, first, trainShape, trainIsInt),
                    "y" to batch("evaluate", y, first, manifest.labelShape, labelIsInt),
                )
            run("evaluate", inputs, mapOf("loss" to rows, "correct" to rows))
            take("evaluate/loss", found.losses, first)
            take("evaluate/correct", found.correct, first)
        }
        return found
    }

    /** Answers one after another: class probabilities, or numbers. */
    fun infer(x: Rows): FloatArray {
        val numbers = size(manifest.answerShape)
        val found = FloatArray(x.count * numbers)
        val rows = rows("infer")
        for (first in 0 until x.count step rows) {
            val inputs =
                mapOf("x" to batch("infer", x, first, manifest.inputShape, manifest.inputIsInt))
            run("infer", inputs, mapOf("output" to rows * numbers))
            take("infer/output", found, first * numbers)
        }
        return found
    }

    override fun close() = interpreter.close()

    /** A single answer costs one row, where any number of rows is allowed. */
    private fun rows(signature: String) =
        if (signature == "infer" && !manifest.fixedBatch) 1 else manifest.batchSize

    private fun batch(
        signature: String, source: Rows, first: Int, shape: List<Int>, int: Boolean,
    ): Any {
        require(source.numbers == size(shape)) { "${source.numbers} numbers a row, not $shape" }
        val rows = rows(signature)
        return shaped(signature, source.padded(first, rows), listOf(rows) + shape, int)
    }

    /** A buffer does not resize an input, an array does: so the first call takes arrays. */
    private fun shaped(signature: String, data: ByteBuffer, shape: List<Int>, int: Boolean): Any =
        if (signature in sized) data else nested(data, shape, int)

    private fun run(signature: String, inputs: Map<String, Any>, sizes: Map<String, Int>) {
        val into = sizes.mapValues { (name, size) ->
            // It is written to from its position on.
            outputs.getOrPut("$signature/$name") { direct(size) }.apply { rewind() }
        }
        interpreter.runSignature(inputs, into, signature)
        sized += signature
    }

    /** Copies an output to `into` from `at` on, without the rows that pad. */
    private fun take(output: String, into: FloatArray, at: Int) {
        val data = outputs.getValue(output).duplicate().order(ByteOrder.nativeOrder())
        data.rewind()
        val numbers = data.asFloatBuffer()
        numbers.get(into, at, minOf(numbers.remaining(), into.size - at))
    }

    private fun read(signature: String, specs: List<WeightSpec>): FloatArray {
        val found = FloatArray(specs.sumOf { it.size })
        if (specs.isEmpty()) return found
        run(signature, unused, specs.associate { it.name to it.size })
        var at = 0
        for (spec in specs) {
            take("$signature/${spec.name}", found, at)
            at += spec.size
        }
        return found
    }

    private fun write(signature: String, specs: List<WeightSpec>, values: FloatArray) {
        require(values.size == specs.sumOf { it.size }) { "weights of another artifact" }
        if (specs.isEmpty()) return
        var at = 0
        val inputs = specs.associate { spec ->
            val data = direct(spec.size)
            data.asFloatBuffer().put(values, at, spec.size)
            at += spec.size
            spec.name to data
        }
        run(signature, inputs, mapOf("done" to 1))
    }
}
