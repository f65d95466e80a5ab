import Checkpoints
import Formats
import TestSupport

/// Texts with the ids that Hugging Face's tokenizers gives them, fixtures/tokens/.
enum KnownTokens {
    struct Case {
        let text: String
        let ids: [Int32]
    }

    static let names = [
        "gpt-2", "smollm", "llama-bpe", "qwen2", "olmo", "command-r", "tekken", "gpt-4o", "qwen35",
    ]

    static func cases(_ name: String) throws -> [Case] {
        let list = try JSON.parse(contents("tokens/\(name).json")).array ?? []
        return list.map { entry in
            Case(text: entry["text"]?.string ?? "", ids: (entry["ids"]?.array ?? []).map { Int32($0.int ?? -1) })
        }
    }

    /// A folder with the tokenizer files of a name; its tensors are the fixture's.
    static func checkpoint(_ name: String) throws -> Checkpoint {
        var checkpoint = try Checkpoint.open(Fixture.model)
        guard name != "gpt-2" else { return checkpoint }
        checkpoint.config = JSONObject()
        checkpoint.companions = ["tokenizer.json", "tokenizer_config.json"].map { file in
            .init(name: file, contents: Files.read(Fixture.path("tokens/\(name)/\(file)")))
        }
        return checkpoint
    }

    static func vocabulary(_ name: String) throws -> Vocabulary { try Vocabulary(checkpoint: checkpoint(name)) }

    static func contents(_ name: String) -> String { String(decoding: Files.read(Fixture.path(name)), as: UTF8.self) }
}
