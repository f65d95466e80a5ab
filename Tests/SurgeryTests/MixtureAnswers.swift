import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// A model with the types that llama-quantize gives its tensors: fixtures/mixtures.json.
struct MixtureAnswers: Sendable, CustomTestStringConvertible {
    let name: String
    /// The names of the types of all tensors, by mixture.
    let types: [String: [String]]
    /// The same with an importance matrix.
    let importance: [String: [String]]
    private let architecture: String
    private let settings: JSONObject
    private let tensors: JSONObject

    var testDescription: String { name }

    private static let file = try? JSON.parse(
        String(decoding: Files.read(Fixture.path("mixtures.json")), as: UTF8.self))

    static let all: [MixtureAnswers] = (file?["models"]?.object?.members ?? JSONObject().members).map {
        MixtureAnswers(name: $0, $1)
    }

    /// What llama-quantize gives the tensors of a model under its options.
    struct Asked: Sendable, CustomTestStringConvertible {
        let model: String
        let mixture: String
        let options: [String]
        let types: [String]

        var testDescription: String { "\(model): \(mixture) \(options.joined(separator: " "))" }

        func settings() throws -> Quantize.Settings {
            var settings = Quantize.Settings(try #require(Mixture.named(mixture)))
            settings.isPure = options.contains("--pure")
            for (option, value) in zip(options, options.dropFirst()) {
                switch option {
                case "--tensor-type": settings.byName.append(try TypeByName(value))
                case "--output-tensor-type": settings.output = try Quantize.encodedType(named: value)
                case "--token-embedding-type": settings.embedding = try Quantize.encodedType(named: value)
                default: break
                }
            }
            return settings
        }
    }

    static let asked: [Asked] = (file?["asked"]?.array ?? []).map { row in
        Asked(
            model: row["model"]?.string ?? "", mixture: row["mixture"]?.string ?? "",
            options: (row["options"]?.array ?? []).compactMap(\.string), types: types(row["types"]))
    }

    /// The names of types, from a letter for each.
    private static func types(_ text: JSON?) -> [String] {
        (text?.string ?? "").map { file?["letters"]?[String($0)]?.string ?? "" }
    }

    static func named(_ name: String) throws -> MixtureAnswers { try #require(all.first { $0.name == name }) }

    private init(name: String, _ answer: JSON) {
        func types(_ key: String) -> [String: [String]] {
            let members = answer[key]?.object?.members ?? JSONObject().members
            return Dictionary(uniqueKeysWithValues: members.map { ($0, MixtureAnswers.types($1)) })
        }
        self.name = name
        self.types = types("types")
        importance = types("importance")
        architecture = answer["architecture"]?.string ?? ""
        settings = answer["settings"]?.object ?? JSONObject()
        tensors = answer["tensors"]?.object ?? JSONObject()
    }

    /// The model, without values.
    func model() throws -> Checkpoint {
        var model = try Models.gguf(architecture, layers: 0)
        for (key, value) in settings.members {
            let numbers = (value.array ?? [value]).compactMap(\.int).map { GGUFValue.u32(UInt32($0)) }
            guard let first = numbers.first else { continue }
            model.metadata["\(architecture).\(key)"] = value.array == nil ? first : .array(elementType: 4, numbers)
        }
        model.tensors = tensors.members.map { name, shape in
            let shape = (shape.array ?? []).compactMap(\.int)
            let isPlain = shape.count == 1 || name.contains("gate_inp") || name.contains("ssm_a")
            return Models.zeros(name, shape, isPlain ? .f32 : .f16)
        }
        return model
    }

    /// Expects those types of the tensors.
    func expect(
        _ types: [String], _ settings: Quantize.Settings, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let model = try model()
        let result = try Quantize(settings).apply(to: model)
        try #require(result.tensors.count == types.count && result.tensors.map(\.name) == model.tensors.map(\.name))
        for (tensor, type) in zip(result.tensors, types) where tensor.dtype.name != type {
            Issue.record(
                "\(settings.mixture.name): \(tensor.name) is \(tensor.dtype), not \(type)",
                sourceLocation: sourceLocation)
        }
    }
}
