internal import Parallel

/// Hashes tensors on several threads.
package struct Hashing: Sendable {
    /// The algorithm.
    package var algorithm: HashAlgorithm
    /// How many threads run.
    package var threads: Int
    /// Called with the bytes done and the bytes in all, from any thread.
    package var progress: (@Sendable (_ done: Int, _ total: Int) -> Void)?

    /// Bytes are read in pieces that stay in a core's own cache between the reading and the hashing.
    private static let pieceByteCount = 512 << 10

    /// A way to hash.
    package init(
        _ algorithm: HashAlgorithm = .xxh3_128, threads: Int,
        progress: (@Sendable (_ done: Int, _ total: Int) -> Void)? = nil
    ) {
        self.algorithm = algorithm
        self.threads = threads
        self.progress = progress
    }

    /// The hash of each tensor, in their order.
    package func digests(of tensors: [Tensor]) throws(CheckpointError) -> [Digest] {
        let (digests, _) = try run(tensors, joined: false)
        return digests
    }

    /// The hash of each tensor, and that of all their bytes one after another.
    package func digestsAndWhole(of tensors: [Tensor]) throws(CheckpointError) -> (each: [Digest], whole: Digest) {
        let (each, whole) = try run(tensors, joined: true)
        guard let whole else { preconditionFailure("the total was requested") }
        return (each, whole)
    }

    /// One job per tensor, the largest first so that threads finish together; before them a job for the total, if
    /// requested.
    private func run(_ tensors: [Tensor], joined: Bool) throws(CheckpointError) -> ([Digest], Digest?) {
        let order = tensors.indices.sorted { (tensors[$1].byteCount, $0) < (tensors[$0].byteCount, $1) }
        // The job behind those of the tensors is the one for all.
        let jobs = joined ? [tensors.count] + order : order
        let workers = max(1, min(threads, jobs.count))
        let byteCount = tensors.reduce(0) { $0 + $1.byteCount }
        let done = ByteCounter(total: joined ? 2 * byteCount : byteCount, report: progress)
        let buffers = Pieces(count: workers, byteCount: Hashing.pieceByteCount)
        var found = try Parallel.map(order: jobs, workers: workers) { (job, worker) throws(CheckpointError) in
            let buffer = buffers[worker]
            if job < tensors.count {
                let digest = try tensors[job].digest(algorithm, buffer: buffer)
                done.add(tensors[job].byteCount)
                return digest
            }
            let hash = StreamHash(algorithm)
            for tensor in tensors {
                try tensor.forEachPiece(buffer: buffer) { hash.update($0) }
                done.add(tensor.byteCount)
            }
            return hash.digest
        }
        let whole = joined ? found.popLast() : nil
        return (found, whole)
    }
}

/// A buffer for each worker.
private final class Pieces: Sendable {
    private nonisolated(unsafe) let memory: UnsafeMutableRawBufferPointer
    private let byteCount: Int

    init(count: Int, byteCount: Int) {
        memory = .allocate(byteCount: count * byteCount, alignment: 4096)
        self.byteCount = byteCount
    }

    deinit { memory.deallocate() }

    subscript(worker: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: memory[worker * byteCount..<(worker + 1) * byteCount])
    }
}
