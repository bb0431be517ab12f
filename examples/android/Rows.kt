package fedp

import java.nio.ByteBuffer
import java.nio.ByteOrder

/** Examples one after another: `count` rows of `numbers` float32, or int32 where that is due. */
class Rows(val count: Int, val numbers: Int, private val data: ByteBuffer) {
    init {
        require(data.capacity() == 4 * count * numbers) { "not $count rows of $numbers numbers" }
    }

    /** The rows of these numbers, in this order. */
    fun of(rows: IntArray): Rows {
        val chosen = direct(rows.size * numbers)
        for (row in rows) chosen.put(part(row, 1))
        return Rows(rows.size, numbers, chosen)
    }

    /** Rows from `first` on, with rows of zeros where there are no more. */
    internal fun padded(first: Int, rows: Int): ByteBuffer {
        val batch = direct(rows * numbers)
        batch.put(part(first, minOf(rows, count - first)))
        batch.rewind()
        return batch
    }

    private fun part(first: Int, rows: Int): ByteBuffer {
        val part = data.duplicate()
        part.limit(4 * numbers * (first + rows))
        part.position(4 * numbers * first)
        return part
    }

    companion object {
        fun floats(numbers: Int, values: FloatArray): Rows {
            val data = direct(values.size)
            data.asFloatBuffer().put(values)
            return Rows(values.size / numbers, numbers, data)
        }

        fun ints(numbers: Int, values: IntArray): Rows {
            val data = direct(values.size)
            data.asIntBuffer().put(values)
            return Rows(values.size / numbers, numbers, data)
        }
    }
}

/** What Interpreter takes without a copy: direct, in native order; 4 bytes a number. */
internal fun direct(numbers: Int): ByteBuffer =
    ByteBuffer.allocateDirect(4 * numbers).order(ByteOrder.nativeOrder())

internal fun size(shape: List<Int>) = shape.fold(1, Int::times)

/** The same numbers as an array of arrays. */
internal fun nested(data: ByteBuffer, shape: List<Int>, int: Boolean, at: Int = 0): Any {
    val count = shape[0]
    if (shape.size == 1) {
        return if (int) IntArray(count) { data.getInt(4 * (at + it)) }
        else FloatArray(count) { data.getFloat(4 * (at + it)) }
    }
    val inner = shape.drop(1)
    val parts = List(count) { nested(data, inner, int, at + it * size(inner)) }
    val array = java.lang.reflect.Array.newInstance(parts[0].javaClass, count)
    parts.forEachIndexed { i, part -> java.lang.reflect.Array.set(array, i, part) }
    return array
}
