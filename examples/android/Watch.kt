package fedp

import kotlin.math.max
import kotlin.math.sqrt

/** How good the guard found the initial model: labels hit, a sum of shares, and examples. */
class Expected(val hits: Double, val examples: Int) {
    /** Wilson's lower bound of its accuracy. */
    fun atLeast(caution: Double): Double {
        if (examples == 0) return 0.0
        val share = hits / examples
        val square = caution * caution / examples
        val half = sqrt(share * (1 - share) * square + square * square / 4)
        return max((share + square / 2 - half) / (1 + square), 0.0)
    }
}

/** When to take a personalized model back, and when to give it again (null: never). */
class WatchPolicy(
    val revertEvidence: Double = 1000.0,
    val restoreEvidence: Double? = 10_000.0,
    val caution: Double = 1.65,
)

class Verdict(val reverted: Boolean, val changed: Boolean, val evidence: Double)

/** Follows outcomes: has the live model become worse than the other one? docs/contract.md */
class Watch(
    expected: Expected?,
    private val policy: WatchPolicy = WatchPolicy(),
    reverted: Boolean = false,
) {
    /** Whether the initial model is to be live. */
    var reverted = reverted
        private set

    val least = expected?.atLeast(policy.caution) ?: 0.0
    private val wealth = DoubleArray(STAKES.size) { 1.0 }

    /** The share of labels hit, 0..1; null of a model that was not asked. */
    fun add(personalized: Double?, initial: Double?): Verdict {
        follow(personalized, initial)
        val needed = if (reverted) policy.restoreEvidence else policy.revertEvidence
        var total = 0.0
        for (value in wealth) total += value
        val evidence = total / wealth.size
        val changed = needed != null && evidence >= needed
        if (changed) {
            reverted = !reverted
            wealth.fill(1.0)
        }
        return Verdict(reverted, changed, evidence)
    }

    private fun follow(personalized: Double?, initial: Double?) {
        if (personalized == null || (reverted && initial == null)) return
        if (reverted && policy.restoreEvidence == null) return
        val payoff =
            when {
                initial != null -> initial - personalized
                least == 0.0 -> return
                else -> (least - personalized) / max(1 - least, least / MOST_PAID)
            }
        val gained = if (reverted) -payoff else payoff
        for (i in STAKES.indices) wealth[i] = max(wealth[i] * (1 + STAKES[i] * gained), 1.0)
    }

    private companion object {
        val STAKES = doubleArrayOf(0.1, 0.3, 0.6, 0.9)
        const val MOST_PAID = 3.0
    }
}
