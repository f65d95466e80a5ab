internal import CXXHash

/// XXH3 of bytes: it finds damage and tells tensors apart; it does not withstand an attacker, and need not.
struct Digest: Sendable, Hashable {
    let high: UInt64
    let low: UInt64

    init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    private init(_ hash: XXH128_hash_t) { self.init(high: hash.high64, low: hash.low64) }

    /// XXH3-128 of bytes.
    init(of bytes: UnsafeRawBufferPointer) { self.init(XXH3_128bits(bytes.baseAddress, bytes.count)) }

    /// XXH3-128 of bytes.
    init(of bytes: [UInt8]) { self = bytes.withUnsafeBytes { Digest(of: $0) } }

    /// XXH3-64 of bytes.
    static func short(of bytes: UnsafeRawBufferPointer) -> UInt64 { XXH3_64bits(bytes.baseAddress, bytes.count) }

    /// The 16 bytes in the order that xxhsum prints.
    var bytes: [UInt8] { littleEndianBytes(high.byteSwapped) + littleEndianBytes(low.byteSwapped) }

    /// 32 hexadecimal digits.
    var hex: String {
        bytes.map { byte in
            let digits = String(byte, radix: 16)
            return digits.count < 2 ? "0" + digits : digits
        }.joined()
    }

    /// XXH3-128 of all bytes of a tensor.
    init(of tensor: Tensor) throws(CheckpointError) {
        guard let state = XXH3_createState() else { preconditionFailure("no memory for a hash") }
        defer { XXH3_freeState(state) }
        XXH3_128bits_reset(state)
        var done = 0
        while done < tensor.byteCount {
            let end = min(done + ArchiveFormat.pieceByteCount, tensor.byteCount)
            try tensor.recipe.withBytes(rows: done..<end, rowByteCount: 1) { bytes in
                _ = XXH3_128bits_update(state, bytes.baseAddress, bytes.count)
            }
            done = end
        }
        self.init(XXH3_128bits_digest(state))
    }
}
