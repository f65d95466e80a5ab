internal import CXXHash

/// An incremental hash, independent of how the bytes are divided.
struct StreamHash: ~Copyable {
    private enum State {
        case xxh3(OpaquePointer)
        case xxh64(OpaquePointer)
    }

    private let state: State

    /// The hash of nothing yet.
    init(_ algorithm: HashAlgorithm) {
        switch algorithm {
        case .xxh3_128:
            guard let made = XXH3_createState() else { preconditionFailure("no memory for a hash") }
            XXH3_128bits_reset(made)
            state = .xxh3(made)
        case .xxh64:
            guard let made = XXH64_createState() else { preconditionFailure("no memory for a hash") }
            XXH64_reset(made, 0)
            state = .xxh64(made)
        }
    }

    deinit {
        switch state {
        case .xxh3(let state): XXH3_freeState(state)
        case .xxh64(let state): XXH64_freeState(state)
        }
    }

    /// Adds bytes.
    func update(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        switch state {
        case .xxh3(let state): resect_xxh3_update(state, base, bytes.count)
        case .xxh64(let state): XXH64_update(state, base, bytes.count)
        }
    }

    /// Adds the UTF-8 bytes of a text.
    func update(_ text: String) {
        var text = text
        text.withUTF8 { update(UnsafeRawBufferPointer($0)) }
    }

    /// The hash of all bytes so far.
    var digest: Digest {
        switch state {
        case .xxh3(let state):
            let hash = XXH3_128bits_digest(state)
            return Digest(high: hash.high64, low: hash.low64)
        case .xxh64(let state): return Digest(xxh64: XXH64_digest(state))
        }
    }
}
