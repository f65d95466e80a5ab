internal import ArgumentParser
internal import Checkpoints
internal import Formats
internal import Healing
internal import Kernels
internal import Surgery

/// The `formats` command.
struct FormatsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "formats",
        abstract: "List the known architectures with what can be done with each, types, tokenizers and layer settings.",
        discussion: """
            For every architecture: whether its models can be run, converted to GGUF and to a folder, healed in closed \
            form, and trained. The answers come from the checks of these commands, made with a small model of the \
            architecture; 'resect inspect --explain' makes them with yours. Models of other architectures can be \
            inspected, cut and quantized.

            A setting that depends on layers is updated after a cut by its rule: list has one value per layer, indices \
            are layer numbers, boundary means "the first n layers", count "the last n", period "every n-th layer".

            With --json: {"architectures": [{"name", "classes", "gguf", "abilities": {"run": {"possible", "reason"}, "gguf", \
            "folder", "heal", "train"}, "tensors": [{"role", "folder", "gguf"}]}], "elementTypes": [{"name", "bits", "gguf", \
            "safetensors", "decoded"}], "types", "folderTypes", "tokenizers", "preTokenizers": [{"name", "aliases"}], \
            "layerSettings": {"config", "gguf"}}.
            """)

    @Argument(
        help: ArgumentHelp(
            "Show this architecture alone, with its tensors and why something cannot be done.",
            valueName: "architecture"))
    var architecture: ArchitectureArgument?

    @OptionGroup(title: "General") var common: CommonOptions

    /// The architectures that are shown.
    private var shown: [Architecture] { architecture.map { [$0.architecture] } ?? Architecture.all }

    func run() throws {
        if common.json { return Output.json(json) }
        printArchitectures()
        if let architecture { printDetails(architecture.architecture) } else { printRest() }
    }

    private func mark(_ holds: Bool) -> String { holds ? "yes" : "-" }

    private func printArchitectures() {
        var architectures = Table(
            ["architecture", "run", "to GGUF", "to folder", "heal", "train", "GGUF", "classes"])
        for item in shown {
            let abilities = FamilyAbilities(item)
            let marks = [.run, .gguf, .folder, .heal, .train].map { mark(abilities.has($0)) }
            architectures.add([item.name] + marks + [item.gguf, item.classes.joined(separator: " ")])
        }
        architectures.print()
        Output.line()
    }

    /// The tensors of an architecture, and what cannot be done with it.
    private func printDetails(_ architecture: Architecture) {
        func name(_ part: TensorPart?) -> String { part?.names.first?.text ?? "-" }
        var tensors = Table(["role", "folder", "GGUF"])
        for names in architecture.tensors { tensors.add([names.role, name(names.huggingFace), name(names.gguf)]) }
        tensors.print()
        for (ability, reason) in FamilyAbilities(architecture).refusals {
            if let reason { Output.line("\(ability.rawValue): \(reason)") }
        }
    }

    private func printRest() {
        var types = Table(["element type", "bits", "GGUF", "safetensors", "decoded"])
        for type in DType.all {
            types.add([
                type.name, type.bitsPerElement.short, mark(type.ggml != nil), mark(type.isSafetensors),
                mark(Codec.decodes(type)),
            ])
        }
        types.print()
        Output.line()
        Output.line("types of quantize     \(Mixture.all.map(\.name).joined(separator: " "))")
        Output.line("types of folders      \(FolderType.names)")
        let tokenizers = PreTokenizer.all.map { ([$0.name] + $0.aliases).joined(separator: "/") }
        Output.line("tokenizers            \(Vocabulary.Model.allCases.map(\.words).joined(separator: ", "))")
        Output.line("pre-tokenizers        \(tokenizers.joined(separator: " "))")
        Output.line()
        var settings = Table(["setting of layers", "in", "rule"])
        for (key, rule) in LayerSettings.known.config { settings.add([key, "config.json", rule.rawValue]) }
        for (key, rule) in LayerSettings.known.gguf { settings.add([key, "GGUF", rule.rawValue]) }
        settings.print()
    }

    private var json: JSONObject {
        func rules(_ rules: [(key: String, rule: LayerSetting)]) -> JSON {
            .object(JSONObject(rules.map { ($0.key, .string($0.rule.rawValue)) }))
        }
        func names(_ names: [String]) -> JSON { .array(names.map(JSON.string)) }
        return JSONObject([
            ("architectures", .array(shown.map { .object(json($0)) })),
            ("elementTypes", .array(DType.all.map { .object(json($0)) })),
            ("types", names(Mixture.all.map(\.name))), ("folderTypes", names(FolderType.allCases.map(\.rawValue))),
            ("tokenizers", names(Vocabulary.Model.allCases.map(\.rawValue))),
            (
                "preTokenizers",
                .array(
                    PreTokenizer.all.map {
                        .object(JSONObject([("name", .string($0.name)), ("aliases", names($0.aliases))]))
                    })
            ),
            (
                "layerSettings",
                .object(
                    JSONObject([
                        ("config", rules(LayerSettings.known.config)), ("gguf", rules(LayerSettings.known.gguf)),
                    ]))
            ),
        ])
    }

    private func json(_ architecture: Architecture) -> JSONObject {
        func name(_ part: TensorPart?) -> JSON { part?.names.first.map { .string($0.text) } ?? .null }
        return JSONObject([
            ("name", .string(architecture.name)), ("classes", .array(architecture.classes.map(JSON.string))),
            ("gguf", .string(architecture.gguf)),
            (
                "abilities",
                .object(
                    JSONObject(
                        FamilyAbilities(architecture).refusals.map { ($0.ability.rawValue, $0.reason.json) }))
            ),
            (
                "tensors",
                .array(
                    architecture.tensors.map { names in
                        .object(
                            JSONObject([
                                ("role", .string(names.role)), ("folder", name(names.huggingFace)),
                                ("gguf", name(names.gguf)),
                            ]))
                    })
            ),
        ])
    }

    private func json(_ type: DType) -> JSONObject {
        JSONObject([
            ("name", .string(type.name)), ("bits", .double(type.bitsPerElement)), ("gguf", .bool(type.ggml != nil)),
            ("safetensors", .bool(type.isSafetensors)), ("decoded", .bool(Codec.decodes(type))),
        ])
    }
}

/// An architecture by its name.
struct ArchitectureArgument: ExpressibleByArgument {
    let architecture: Architecture

    init?(argument: String) {
        guard let found = Architecture.all.first(where: { $0.name == argument.lowercased() }) else { return nil }
        architecture = found
    }

    static var allValueStrings: [String] { Architecture.all.map(\.name) }
    static var defaultCompletionKind: CompletionKind { .list(allValueStrings) }
}

extension Vocabulary.Model {
    /// The kind of tokenizer, in words.
    fileprivate var words: String {
        switch self {
        case .byteLevelBPE: "byte-level BPE"
        case .sentencePieceBPE: "SentencePiece BPE"
        case .unigram: "unigram"
        }
    }
}
