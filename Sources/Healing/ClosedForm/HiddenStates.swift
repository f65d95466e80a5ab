internal import Checkpoints
internal import Decoder
internal import Kernels

/// The residual stream of some contexts, [contexts, contextLength, hidden], and where it stands.
final class HiddenStates {
    /// How many contexts there are.
    let contexts: Int
    /// Tokens in a context.
    let contextLength: Int
    /// Elements of a token's state.
    let hidden: Int
    private let memory: PagedMemory

    /// Memory for the states of some contexts; `isSpilled` backs it with a file.
    init(contexts: Int, contextLength: Int, hidden: Int, isSpilled: Bool) throws(CheckpointError) {
        self.contexts = contexts
        self.contextLength = contextLength
        self.hidden = hidden
        let count = contexts * contextLength * hidden * MemoryLayout<Float>.size
        memory = try PagedMemory(byteCount: count, name: "the hidden states", isSpilled: isSpilled)
    }

    /// The states of one context and those after it.
    func context(_ index: Int) -> UnsafeMutablePointer<Float> {
        memory.floats + index * contextLength * hidden
    }

    /// The same states in memory of their own.
    func copy(isSpilled: Bool) throws(CheckpointError) -> HiddenStates {
        let result = try HiddenStates(
            contexts: contexts, contextLength: contextLength, hidden: hidden, isSpilled: isSpilled)
        result.copy(self, contexts: 0..<contexts)
        return result
    }

    /// Takes over the states of some contexts of another stream.
    func copy(_ other: HiddenStates, contexts: Range<Int>) {
        context(0).update(
            from: other.context(contexts.lowerBound), count: contexts.count * contextLength * hidden)
    }

    /// Throws at the first NaN or infinity.
    ///
    /// - Parameters:
    ///   - source: what computed the states, for the message: `layer 12`.
    ///   - file: the model.
    func checkFinite(_ contexts: Range<Int>, from source: String, file: String) throws(CheckpointError) {
        let count = contexts.count * contextLength * hidden
        let first = Codec.firstBeyond(.greatestFiniteMagnitude, in: context(contexts.lowerBound), count: count)
        guard let token = first.map({ $0 / hidden }) else { return }
        throw CheckpointError(
            file: file,
            "\(source) gives NaN or infinity, first for token \(token % contextLength) of context "
                + "\(contexts.lowerBound + token / contextLength)",
            hint: "a weight is NaN or infinite, or the values leave the range of f32")
    }
}
