/// Leaves out tokens that occurred before.
///
/// The kept tokens of every stream are known by blocks of 64. When the last 64 tokens of a stream equal one of them, they
/// are removed again. So no run of 127 tokens is kept twice: every such run has a whole block in it.
struct RepeatFilter {
    static let window = 64
    private static let factor: UInt64 = 0x5851_F42D_4C95_7F2D
    /// `factor` to the power of the window.
    private static let oldest = (0..<window).reduce(UInt64(1)) { power, _ in power &* factor }

    private var blocks: Set<UInt64> = []
    private var own: [UInt64] = []
    private var hash: UInt64 = 0
    private var kept: [Int32] = []
    private var dropped = 0

    /// Ends the stream and begins the next one.
    ///
    /// - Returns: the tokens that were kept, and how many were left out.
    mutating func finish() -> (tokens: [Int32], dropped: Int) {
        defer { (own, hash, kept, dropped) = ([], 0, [], 0) }
        return (kept, dropped)
    }

    /// How many tokens the stream has kept.
    var count: Int { kept.count }

    /// Adds tokens to the stream.
    mutating func append(_ tokens: some Sequence<Int32>) {
        for token in tokens {
            kept.append(token)
            hash = hash &* RepeatFilter.factor &+ RepeatFilter.value(token)
            if kept.count > RepeatFilter.window {
                hash &-= RepeatFilter.oldest &* RepeatFilter.value(kept[kept.count - RepeatFilter.window - 1])
            }
            guard kept.count >= RepeatFilter.window else { continue }
            if blocks.contains(hash) {
                removeWindow()
            } else if kept.count % RepeatFilter.window == 0 {
                blocks.insert(hash)
                own.append(hash)
            }
        }
    }

    private mutating func removeWindow() {
        kept.removeLast(RepeatFilter.window)
        dropped += RepeatFilter.window
        while own.count > kept.count / RepeatFilter.window { blocks.remove(own.removeLast()) }
        hash = kept.suffix(RepeatFilter.window).reduce(0) {
            $0 &* RepeatFilter.factor &+ RepeatFilter.value($1)
        }
    }

    private static func value(_ token: Int32) -> UInt64 {
        SplitGenerator.mixed(UInt64(truncatingIfNeeded: token) &+ 0x9E37_79B9_7F4A_7C15)
    }
}
