package fedp

import java.util.Random

/** What a personalization came to; `weights` go live, null: the initial model does. */
class Personalized(val decision: Decision, val evidence: Evidence, val weights: FloatArray?)

/** Trials, decision, final adaptation, as in docs/contract.md. Slow: not on the UI thread. */
class Adapter(private val model: FedpModel, private val seed: Long = 0) {
    private val manifest = model.manifest

    /** Takes one client's inputs and labels; `classes` are the numbers in y, where they are
     * classes. The model is then what goes live. */
    fun personalize(
        x: Rows, y: Rows, classes: IntArray?, policy: Policy = manifest.policy,
    ): Personalized {
        require(x.count == y.count && (classes != null) == manifest.labelsAreClasses)
        val features = model.features(x)
        model.reset()
        val theta = model.save()
        val evidence = gather(features, y, classes, policy, theta)
        val decision = decide(evidence, policy)
        model.reset()
        if (decision.blend == 0.0) return Personalized(decision, evidence, null)
        val finite = adapt(features, y, decision.epochs, policy)
        val weights = blended(theta, model.save(), decision.blend)
        if (!finite || weights.any { !it.isFinite() }) {
            model.reset()
            val reason = "the training loss exploded or became NaN while adapting on all examples"
            return Personalized(Decision(0, 0.0, reason), evidence, null)
        }
        model.restore(weights)
        return Personalized(decision, evidence, weights)
    }

    private fun gather(
        x: Rows, y: Rows, classes: IntArray?, policy: Policy, theta: FloatArray,
    ): Evidence {
        // -1 is no label.
        val distinct = classes?.filter { it >= 0 }?.toSet()?.size ?: x.count
        val order = (0 until x.count).shuffled(Random(seed)).toIntArray()
        val plain = if (manifest.labelShape.isEmpty()) classes else null
        val trials = trialsOf(policy, order, plain, classes != null && distinct == 1)
        val candidates = if (trials.isEmpty()) emptyList() else candidatesOf(policy)
        val judged = if (candidates.isEmpty()) emptyList() else trials
        val initial = joined(judged.map { model.evaluate(x.of(it.judge), y.of(it.judge)) })
        val scores = candidates.associateWith { ArrayList<Score>() }
        var finite = true
        for (trial in judged) {
            model.reset()
            val judgeX = x.of(trial.judge)
            val judgeY = y.of(trial.judge)
            finite = adapt(x.of(trial.adapt), y.of(trial.adapt), policy.epochs, policy) { epoch ->
                val due = candidates.filter { it.epochs == epoch }
                if (due.isNotEmpty()) {
                    val adapted = model.save()
                    val slots = model.saveSlots()
                    for (candidate in due) {
                        model.restore(blended(theta, adapted, candidate.blend))
                        scores.getValue(candidate).add(model.evaluate(judgeX, judgeY))
                    }
                    model.restore(adapted)
                    model.restoreSlots(slots)
                }
            }
            if (!finite) break
        }
        // Where a loss exploded, the guard does not look at the candidates.
        val found = if (finite) scores.mapValues { joined(it.value) } else emptyMap()
        return Evidence(initial, found, x.count, distinct, finite, manifest.labelsAreClasses)
    }

    /** Local epochs from the model's weights; false where a loss exploded or became NaN. */
    private fun adapt(
        x: Rows, y: Rows, epochs: Int, policy: Policy, afterEpoch: (Int) -> Unit = {},
    ): Boolean {
        val random = Random(seed)
        var first = Float.NaN
        for (epoch in 1..epochs) {
            val order = (0 until x.count).shuffled(random)
            for (batch in order.chunked(manifest.batchSize)) {
                val rows = batch.toIntArray()
                val loss = model.train(x.of(rows), y.of(rows), policy.learningRate)
                if (first.isNaN()) first = loss
                if (!loss.isFinite() || loss > EXPLODED * maxOf(first, 1f)) return false
            }
            afterEpoch(epoch)
        }
        return true
    }

    private fun joined(parts: List<Score>) =
        Score(
            parts.flatMap { it.losses.asList() }.toFloatArray(),
            parts.flatMap { it.correct.asList() }.toFloatArray(),
        )

    private companion object {
        const val EXPLODED = 1000f
    }
}

/** The weights theta + blend (adapted - theta), each operation in float32. */
fun blended(theta: FloatArray, adapted: FloatArray, blend: Double): FloatArray {
    if (blend == 1.0) return adapted
    val share = blend.toFloat()
    return FloatArray(theta.size) { theta[it] + share * (adapted[it] - theta[it]) }
}
