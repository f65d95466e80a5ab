/// A file of an output while it is being written.
struct PlacedFile: Sendable {
    let plan: OutputPlan.File
    let writer: FileWriter
    /// The remaining work after sharing blocks, in file order.
    let units: [WriteUnit]
    private let rest: [WriteUnit]

    /// Opens a file and shares blocks with the inputs where the file system can.
    init(_ plan: OutputPlan.File, at path: String, named name: String, syncs: Bool) throws(CheckpointError) {
        self.plan = plan
        let writer = try FileWriter(path: path, named: name, byteCount: plan.byteCount, syncs: syncs)
        self.writer = writer
        rest = plan.runs.flatMap { run -> [WriteUnit] in
            guard case .copy(let range, let byteOffset) = run else { return [run] }
            let shared = writer.share(range, at: byteOffset)
            return [0..<shared.lowerBound, shared.upperBound..<range.byteCount].filter { !$0.isEmpty }.map {
                .copy(range.part($0), byteOffset: byteOffset + $0.lowerBound)
            }
        }
        units = rest.flatMap(\.pieces)
    }

    /// Reserves disk space for the output; neighbouring ranges as one.
    func reserve() throws(CheckpointError) {
        var pending = 0..<plan.header.count
        for range in rest.flatMap(\.placesOnDisk) {
            if range.lowerBound - pending.upperBound < FileWriter.blockByteCount {
                pending = pending.lowerBound..<range.upperBound
            } else {
                try writer.reserve(pending)
                pending = range
            }
        }
        if !pending.isEmpty { try writer.reserve(pending) }
    }
}
