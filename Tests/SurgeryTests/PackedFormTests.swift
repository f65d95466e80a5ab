import Checkpoints
import Formats
import Surgery
import TestSupport
import Testing

/// Known answers of the packed forms, fixtures/forms: what the peers make of small weights.
struct KnownForm: Sendable, CustomStringConvertible {
    let name: String
    /// The plain weight.
    let weight: Tensor
    /// The parts, each by its name behind the case.
    let parts: [String: Tensor]

    var description: String { name }

    static func all(_ file: String) -> [KnownForm] {
        guard let checkpoint = try? Checkpoint.open(Fixture.path("forms/\(file).safetensors")) else { return [] }
        var cases: [String: [String: Tensor]] = [:]
        for tensor in checkpoint.tensors {
            let parts = tensor.name.split(separator: "/", maxSplits: 1).map(String.init)
            cases[parts[0], default: [:]][parts[1]] = tensor
        }
        return cases.sorted { $0.key < $1.key }.compactMap { name, parts in
            var parts = parts
            return parts.removeValue(forKey: "weight").map { KnownForm(name: name, weight: $0, parts: parts) }
        }
    }

    /// Which group the name says, and whether groups have an offset.
    var settings: PackSettings {
        var settings = PackSettings()
        let words = name.split(separator: "-")
        settings.groupSize = words.count > 1 ? Int(words[1]) : nil
        settings.isSymmetric = words.contains("symmetric") ? true : words.contains("asymmetric") ? false : nil
        return settings
    }

    static let module = "model.layers.0.mlp.up_proj"

    /// A folder with one layer that has this weight.
    func folder() throws -> Checkpoint {
        var checkpoint = try Models.folder(layers: 0, config: #"{"dtype": "float32"}"#)
        var tensor = weight
        tensor.name = KnownForm.module + ".weight"
        checkpoint.tensors = [tensor]
        return checkpoint
    }
}

@Suite("packed forms")
struct PackedFormTests {
    @Test("weights are packed as the peer packs them", arguments: KnownForm.all("compressed-tensors"))
    func compressedTensors(known: KnownForm) throws {
        try expectParts(known, .w4a16)
    }

    private func expectParts(_ known: KnownForm, _ type: PackedType) throws {
        let packed = try PackWeights(type, settings: known.settings).apply(to: try known.folder())
        #expect(packed.tensors.count == known.parts.count)
        for (name, part) in known.parts {
            let found = try #require(packed.tensor(named: "\(KnownForm.module).\(name)"), "\(name)")
            #expect(found.dtype == part.dtype && found.shape == part.shape, "\(name)")
            #expect(try Models.bytes(found) == Models.bytes(part), "\(name)")
        }
    }

    @Test("rows of a part do not depend on how many are asked for at once", arguments: PackedType.allCases)
    func slabs(type: PackedType) throws {
        let packed = try PackWeights(type).apply(to: try Models.fixture())
        for tensor in packed.tensors.prefix(12) {
            let whole = try Models.bytes(tensor)
            let first = min(3, tensor.rowCount)
            let parts = try [0..<first, first..<tensor.rowCount].flatMap { rows in
                try tensor.withBytes(rows: rows) { [UInt8]($0) }
            }
            #expect(parts == whole, "\(tensor.name)")
        }
    }

    @Test("what is unpacked is near what was packed", arguments: PackedType.allCases)
    func roundTrip(type: PackedType) throws {
        let model = try Models.fixture()
        let unpacked = try UnpackWeights().apply(to: PackWeights(type).apply(to: model))
        #expect(unpacked.config == model.config)
        #expect(unpacked.tensors.map(\.name) == model.tensors.map(\.name))
        let name = KnownForm.module + ".weight"
        let before = try floats(model.tensor(named: name)), after = try floats(unpacked.tensor(named: name))
        #expect(before.count == after.count && !before.isEmpty)
        let error = zip(before, after).reduce(Float(0)) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
        let size = before.reduce(Float(0)) { $0 + $1 * $1 }
        #expect(error > 0 && error < 0.02 * size)
    }

    private func floats(_ tensor: Tensor?) throws -> [Float] {
        let bytes = try Models.bytes(tensor)
        return stride(from: 0, to: bytes.count, by: 2).map {
            Float(bitPattern: UInt32(bytes[$0]) << 16 | UInt32(bytes[$0 + 1]) << 24)
        }
    }

    @Test("a folder that is not packed stays as it is")
    func plain() throws {
        let model = try Models.fixture()
        let same = try UnpackWeights(to: .f32).apply(to: model)
        #expect(same.tensors.map(\.dtype) == model.tensors.map(\.dtype) && same.config == model.config)
    }
}
