internal import Checkpoints
internal import Decoder

/// How the whole model's stream comes to a gap and over it: its states before the layers that jump together, and the way
/// that it makes in the layers that are missing.
final class GapJump {
    /// The whole model's stream at the input of a layer before the gap.
    let whole: HiddenStates
    /// The difference that the missing layers make.
    private let way: HiddenStates

    /// Takes the whole model's stream from a layer before the gap to its end.
    init(_ start: HealingStart, over gap: Range<Int>, _ step: () -> Void) throws(CheckpointError) {
        whole = try start.states.copy(isSpilled: start.isSpilled(.jump))
        try start.advance(to: gap.lowerBound, step)
        way = try start.states.copy(isSpilled: start.isSpilled(.way))
        try start.advance(to: gap.upperBound, step)
        let count = way.contexts * way.contextLength * way.hidden
        let (before, behind) = (way.context(0), start.states.context(0))
        for index in 0..<count { before[index] = behind[index] - before[index] }
    }

    /// The difference for one context and those after it.
    func way(_ context: Int) -> UnsafePointer<Float> { UnsafePointer(way.context(context)) }
}
