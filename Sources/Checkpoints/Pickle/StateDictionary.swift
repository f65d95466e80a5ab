internal import Formats

/// The map from names to tensors in a PyTorch file.
///
/// It is the dictionary under "state_dict", "model" or "module", when one of them holds tensors; else the outermost
/// one. Other values beside the tensors, such as a step number, are left out.
struct StateDictionary {
    private static let nestedKeys = ["state_dict", "model", "module"]
    private static let shownKeys = 8

    private let pickle: Pickle
    private let cursor: ByteCursor
    /// Names and the indices of their tensors, in order.
    private var members: [(name: String, tensor: Int)] = []

    /// Finds the dictionary of a file.
    ///
    /// - Throws: when there is none, or several candidates.
    init(_ pickle: Pickle, _ cursor: ByteCursor) throws(CheckpointError) {
        self.pickle = pickle
        self.cursor = cursor
        guard case .dictionary(let outermost) = pickle.values[pickle.root] else {
            throw CheckpointError(
                file: cursor.path, "holds \(pickle.values[pickle.root].kind), not a map from names to tensors")
        }
        var nested: [(key: String, members: [PickleValues.ID])] = []
        for index in stride(from: 0, to: outermost.count, by: 2) {
            guard case .dictionary(let members) = pickle.values[outermost[index + 1]], hasTensors(members),
                case .text(let span) = pickle.values[outermost[index]]
            else { continue }
            let key = try cursor.text(span)
            if StateDictionary.nestedKeys.contains(where: { ExactString($0) == ExactString(key) }) {
                nested.append((key, members))
            }
        }
        guard nested.count <= 1 else {
            throw CheckpointError(
                file: cursor.path, "has several maps of tensors: " + nested.map(\.key).joined(separator: ", "),
                hint: "load it in PyTorch and save the one that is meant")
        }
        let chosen = nested.first?.members ?? outermost
        guard hasTensors(chosen) else {
            throw CheckpointError(
                file: cursor.path, "has no map from names to tensors; its keys are " + (try keys(of: outermost)))
        }
        try collect(chosen)
    }

    private func hasTensors(_ members: [PickleValues.ID]) -> Bool {
        stride(from: 1, to: members.count, by: 2).contains {
            if case .tensor = pickle.values[members[$0]] { true } else { false }
        }
    }

    /// The first few keys, for a message.
    private func keys(of members: [PickleValues.ID]) throws(CheckpointError) -> String {
        var keys: [String] = []
        for index in stride(from: 0, to: members.count, by: 2).prefix(StateDictionary.shownKeys) {
            if case .text(let span) = pickle.values[members[index]] {
                keys.append("'" + String(decoding: cursor[span].prefix(60), as: UTF8.self) + "'")
            } else {
                keys.append(pickle.values[members[index]].kind)
            }
        }
        let more = members.count / 2 > keys.count ? ", …" : ""
        return keys.isEmpty ? "none" : keys.joined(separator: ", ") + more
    }

    private mutating func collect(_ dictionary: [PickleValues.ID]) throws(CheckpointError) {
        var seen: Set<ExactString> = []
        for index in stride(from: 0, to: dictionary.count, by: 2) {
            guard case .tensor(let number) = pickle.values[dictionary[index + 1]] else { continue }
            guard case .text(let span) = pickle.values[dictionary[index]] else {
                throw CheckpointError(
                    file: cursor.path, "has a tensor under \(pickle.values[dictionary[index]].kind), not under a name")
            }
            let name = try cursor.text(span)
            guard seen.insert(ExactString(name)).inserted else {
                throw CheckpointError(file: cursor.path, tensor: name, "is there twice")
            }
            members.append((name, Int(number)))
        }
    }

    /// The tensors, each checked against the storage that it views.
    func tensors(places: [StoragePlace], file: any FileImage) throws(CheckpointError) -> [Tensor] {
        var tensors: [Tensor] = []
        for (name, number) in members {
            let view = pickle.tensors[number]
            tensors.append(try places[view.storage].tensor(name, view, of: pickle, file: file))
        }
        return tensors
    }
}
