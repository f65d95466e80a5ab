/// The stored values of a row source at any depth, as text, which determine its bytes. `--resume` compares it between
/// runs. Objects are represented by their type only; a source with values in an object adds them itself.
struct Fingerprint {
    private(set) var text = ""

    /// The fingerprint of a value.
    init(of value: Any) { add(value) }

    private mutating func add(_ value: Any) {
        switch value {
        case let recipe as Recipe: add(recipe)
        case let source as any RowSource: text += source.fingerprint
        case let range as MappedRange: text += "\(range.file.path) \(range.byteOffset) \(range.byteCount)"
        case let bytes as [UInt8]: text += "\(Digest(of: bytes))"
        case let numbers as [Float]: text += "\(Digest(of: numbers.withUnsafeBytes { [UInt8]($0) }))"
        default: text += children(of: value)
        }
    }

    private mutating func add(_ recipe: Recipe) {
        switch recipe {
        case .mapped(let range): add(range)
        case .archived(let source): text += "\(source.fileName) \(source)"
        case .rows(let source, let map):
            text += children(of: map) + " "
            add(source)
        case .joined(let join):
            text += "\(join.turns) turns "
            for part in join.parts {
                text += "\(part.run) "
                add(part.recipe)
            }
        case .computed(let source): text += source.fingerprint
        }
    }

    /// The type with the values of its members; for a value without members, such as a number, its text.
    private func children(of value: Any) -> String {
        let mirror = Mirror(reflecting: value)
        let name = "\(type(of: value))"
        if mirror.displayStyle == .class { return name }
        guard !mirror.children.isEmpty else { return "\(name) \(value)" }
        var parts = mirror.children.map { "\($0.label ?? ""):\(Fingerprint(of: $0.value).text)" }
        // Dictionaries and sets have another order in every run.
        if mirror.displayStyle == .dictionary || mirror.displayStyle == .set { parts.sort() }
        return "\(name)(\(parts.joined(separator: ",")))"
    }

    /// The fingerprint of a source by its members.
    static func members(of source: any RowSource) -> String { Fingerprint(membersOf: source).text }

    private init(membersOf source: any RowSource) { text = children(of: source) }
}
