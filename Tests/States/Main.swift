import Checkpoints
import Decoder
import Surgery

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Runs models for the conformance suite: a line `MODEL<tab>OUTPUT<tab>LAYERS<tab>ID ID ...` on standard input, a line of
/// answer.
///
/// LAYERS is a cut such as `2:4`, or `-`. OUTPUT gets f32 values: the residual stream before each layer and behind the
/// last, [layers + 1, tokens, hidden], then the logits [tokens, vocabulary]. These come from a pass that is given one token
/// after the other. The answer is `ok LAYERS TOKENS HIDDEN VOCABULARY`, or the error.
@main
struct States {
    static func main() {
        while let line = readLine() {
            let words = line.split(separator: "\t").map(String.init)
            precondition(words.count == 4, "wrong line: \(line)")
            do throws(CheckpointError) {
                let (values, shape) = try run(
                    words[0], cut(words[2]), words[3].split(separator: " ").map { Int32($0) ?? -1 })
                guard let file = fopen(words[1], "wb") else { fatalError("\(words[1]) cannot be written") }
                fwrite(values, MemoryLayout<Float>.size, values.count, file)
                fclose(file)
                print("ok", shape.map(String.init).joined(separator: " "))
            } catch {
                print("\(error)".split(separator: "\n").joined(separator: " "))
            }
            fflush(nil)
        }
    }

    private static func cut(_ text: String) -> Range<Int>? {
        let ends = text.split(separator: ":").compactMap { Int($0) }
        return ends.count == 2 ? ends[0]..<ends[1] : nil
    }

    private static func run(
        _ path: String, _ cut: Range<Int>?, _ tokens: [Int32]
    ) throws(CheckpointError) -> ([Float], [Int]) {
        var checkpoint = try Checkpoint.open(path)
        if let cut { checkpoint = try CutLayers(layers: cut).apply(to: checkpoint) }
        let model = try DecoderModel(checkpoint)
        let pass = try ForwardPass(model, contexts: [tokens], precision: .f32, threads: 1)
        let count = tokens.count * model.plan.hidden
        var values = Array(UnsafeBufferPointer(start: pass.states, count: count))
        while pass.layer < model.plan.layers.count {
            try pass.advance()
            values += UnsafeBufferPointer(start: pass.states, count: count)
        }
        let steps = IncrementalPass(model, threads: 1)
        for token in tokens {
            try steps.append([[token]])
            values += steps.logits()
        }
        return (values, [model.plan.layers.count, tokens.count, model.plan.hidden, model.vocabularyCount])
    }
}
