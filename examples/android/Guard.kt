package fedp

import kotlin.math.floor
import kotlin.math.max
import kotlin.math.min
import kotlin.math.sqrt

/* The guards of docs/contract.md: plain Kotlin, with the names of guards.py and evidence.py.
 * Decisions are those of vectors/guard.json bit for bit: sums are taken in order, in Double. */

/** How to adapt and decide; fields and defaults as in the manifest's `policy`. */
data class Policy(
    val learningRate: Double = 0.02,
    val epochs: Int = 5,
    val holdOut: Double = 0.25,
    val minHoldOut: Int = 3,
    val margin: Double = 0.0,
    val guard: String = "sure",
    val folds: Int = 4,
    val blends: List<Double> = listOf(1.0),
    val caution: Double = 1.25,
)

/** One way to personalize: local epochs, and how far to go from the initial weights, 0..1. */
data class Candidate(val epochs: Int, val blend: Double)

/** A model on the judged examples: loss of each, and share of its labels that are hit, 0..1. */
class Score(val losses: FloatArray, val correct: FloatArray)

/** Numbers of the examples to adapt on, and of those to judge on, ascending. */
class Trial(val adapt: IntArray, val judge: IntArray)

/** What is known when the guard decides. */
class Evidence(
    val initial: Score,
    val candidates: Map<Candidate, Score>,
    val examples: Int,
    val distinct: Int,
    val finite: Boolean,
    val classes: Boolean,
)

/** What becomes live; blend 0 is the initial model. */
data class Decision(val epochs: Int, val blend: Double, val reason: String)

private const val ROUNDING = 1e-9
private const val FLIP_CAUTION = 2.5
private const val IMAGINED_WINS = 5

private class Gain(
    val candidate: Candidate,
    val loss: Double,
    val error: Double,
    val net: Double,
    val flips: Double,
)

private val HALF_WAY_STOPS = setOf("cross-validation")
private val BLENDS = setOf("blend", "sure")
private val KINDS =
    setOf("always", "never", "hold-out", "paired", "cross-validation", "blend", "sure")

/** What a policy's guard wants judged, by ascending epochs, then blend. */
fun candidatesOf(policy: Policy): List<Candidate> {
    require(policy.guard in KINDS) { "guard ${policy.guard}: this host knows $KINDS" }
    if (policy.epochs == 0) return emptyList()
    val half = (policy.epochs + 1) / 2
    val more = policy.guard in HALF_WAY_STOPS && policy.epochs > 1
    val stops = if (more) listOf(half, policy.epochs) else listOf(policy.epochs)
    val blends = if (policy.guard in BLENDS) policy.blends.sorted() else listOf(1.0)
    return stops.flatMap { epochs -> blends.map { Candidate(epochs, it) } }
}

/** The evidence's trials. `order` is a random permutation of the examples; `labels` has the
 * one class of each, and is null for sequences and numbers, which are not stratified. */
fun trialsOf(policy: Policy, order: IntArray, labels: IntArray?, oneClass: Boolean): List<Trial> {
    val count = order.size
    if (count < max(policy.minHoldOut, 2) || policy.guard in setOf("always", "never") || oneClass)
        return emptyList()
    val single = policy.guard == "hold-out"
    if (single && policy.holdOut == 0.0) return emptyList()
    val folds =
        if (single) max(2, floor(1 / policy.holdOut + 0.5).toInt())
        else min(max(policy.folds, 2), count)
    // Stable: examples of one class keep the random order.
    val sorted = if (labels == null) order.toList() else order.sortedBy { labels[it] }
    val fold = IntArray(count)
    sorted.forEachIndexed { place, example -> fold[example] = place % folds }
    return (0 until if (single) 1 else folds).map { k ->
        val (judge, adapt) = (0 until count).partition { fold[it] == k }
        Trial(adapt.toIntArray(), judge.toIntArray())
    }
}

/** Lets a personalized model live only where the evidence shows that it is better. */
fun decide(evidence: Evidence, policy: Policy): Decision {
    require(policy.guard in KINDS) { "guard ${policy.guard}: this host knows $KINDS" }
    val judged = evidence.initial.losses.size
    val needed = max(policy.minHoldOut, 1)
    when {
        policy.guard == "never" -> return revert("the policy never personalizes")
        evidence.examples == 0 -> return revert("there are no examples to adapt on")
        !evidence.finite -> return revert("the training loss exploded or became NaN")
        policy.guard == "always" -> return Decision(policy.epochs, 1.0, "the policy always does")
        evidence.classes && evidence.distinct == 1 -> return revert("all have one label")
        judged < needed -> return revert("$judged examples to judge by, the guard needs $needed")
    }
    val gains =
        evidence.candidates.entries
            .sortedWith(compareBy({ it.key.epochs }, { it.key.blend }))
            .map { gainOf(it.key, evidence.initial, it.value) }
            .filter { it.loss.isFinite() }
    if (gains.isEmpty()) return revert("no personalized model has a finite loss")
    var best: Gain? = null
    for (gain in gains) {
        if (!passes(gain, evidence, policy)) continue
        // Of equals the first.
        if (best == null || ranksAbove(gain, best, policy)) best = gain
    }
    val chosen = best ?: return revert("nothing is surely better on $judged examples")
    val reason = "log loss falls by ${chosen.loss} +- ${chosen.error} on $judged examples"
    return Decision(chosen.candidate.epochs, chosen.candidate.blend, reason)
}

private fun passes(gain: Gain, evidence: Evidence, policy: Policy): Boolean {
    val sure = gain.loss > 0 && gain.loss > policy.caution * gain.error
    val judged = evidence.initial.losses.size
    val wanted = policy.margin * judged - ROUNDING * judged
    val any = gain.loss > 0 && (!evidence.classes || gain.net >= wanted)
    return when (policy.guard) {
        "paired" -> sure
        "sure" -> sure && any && (!evidence.classes || beyondChance(gain))
        else -> any
    }
}

/** Of labels that flip, more must be won than coins would give, but for a few. */
private fun beyondChance(gain: Gain) =
    gain.net + IMAGINED_WINS >= FLIP_CAUTION * sqrt(gain.flips) - ROUNDING

private fun ranksAbove(gain: Gain, best: Gain, policy: Policy) =
    if (policy.guard == "sure") gain.candidate.blend > best.candidate.blend
    else gain.loss > best.loss

private fun gainOf(candidate: Candidate, before: Score, after: Score): Gain {
    val count = before.losses.size
    val saved = DoubleArray(count) { before.losses[it].toDouble() - after.losses[it].toDouble() }
    var total = 0.0
    for (value in saved) total += value
    val mean = total / count
    var squares = 0.0
    for (value in saved) squares += (value - mean) * (value - mean)
    val error =
        if (count > 1) sqrt(squares / (count - 1) / count) else Double.POSITIVE_INFINITY
    var won = 0.0
    var lost = 0.0
    for (i in 0 until count) {
        won += max(after.correct[i].toDouble() - before.correct[i].toDouble(), 0.0)
        lost += max(before.correct[i].toDouble() - after.correct[i].toDouble(), 0.0)
    }
    return Gain(candidate, mean, error, won - lost, won + lost)
}

private fun revert(reason: String) = Decision(0, 0.0, reason)
