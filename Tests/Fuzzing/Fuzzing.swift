internal import Checkpoints
internal import TestSupport

#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// What libFuzzer calls for each input; the target is the one that RESECT_FUZZ names.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    chosen(UnsafeRawBufferPointer(start: start, count: count))
    return 0
}

private let chosen: Target = {
    let name = getenv("RESECT_FUZZ").map { String(cString: $0) } ?? ""
    guard let target = targets[name] else {
        fatalError("RESECT_FUZZ is '\(name)'; the targets are \(targets.keys.sorted().joined(separator: " "))")
    }
    return target
}()

/// Takes an input through everything that reads it; an error of a checkpoint is an answer, all else is a finding.
typealias Target = @Sendable (UnsafeRawBufferPointer) -> Void

/// The targets by the names of their folders in corpora/.
let targets: [String: Target] = [
    "adapter": fuzzAdapter,
    "adapterconfig": fuzzAdapterConfig,
    "archive": fuzzArchive,
    "config": fuzzConfig,
    "gguf": fuzzGGUF,
    "ggufadapter": fuzzGGUFAdapter,
    "importance": fuzzImportance,
    "index": fuzzIndex,
    "mlxadapter": fuzzMLXAdapter,
    "pickle": fuzzPickle,
    "pytorch": fuzzPyTorch,
    "safetensors": fuzzSafetensors,
    "sentencepiece": fuzzSentencePiece,
    "tokenizer": fuzzTokenizer,
]

/// Lets an error be one of a checkpoint.
func tolerate(_ body: () throws(CheckpointError) -> Void) {
    do throws(CheckpointError) {
        try body()
    } catch {
        let text = error.description
        precondition(!text.isEmpty && !text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }), "no message")
    }
}
