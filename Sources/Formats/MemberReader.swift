/// A mistake in a data file of formats/. It is our bug; the first test that reads the file finds it.
package struct DataFileError: Error, Equatable, CustomStringConvertible {
    /// The file, the member and the fault.
    package let description: String

    /// A mistake at a member, `settings.heads`.
    init(_ member: String, _ problem: String) { description = "'\(member)' \(problem)" }
}

/// Reads the members of an object in a data file and refuses those that are not read, so that a misspelt member is an
/// error and not a default.
struct MemberReader {
    /// The path of the object, for messages: `layer.rope`.
    let name: String
    private let object: JSONObject
    private var asked: Set<String> = []

    init(_ value: JSON, _ name: String) throws(DataFileError) {
        guard let object = value.object else { throw DataFileError(name, "is not an object") }
        self.name = name
        self.object = object
    }

    /// The name of a member, for messages.
    func path(_ key: String) -> String { name.isEmpty ? key : name + "." + key }

    /// An error about a member.
    func wrong(_ key: String, _ problem: String) -> DataFileError { DataFileError(path(key), problem) }

    /// A member that may be absent.
    mutating func optional(_ key: String) -> JSON? {
        asked.insert(key)
        return object[key]
    }

    /// A required member.
    mutating func required(_ key: String) throws(DataFileError) -> JSON {
        guard let value = optional(key) else { throw wrong(key, "is missing") }
        return value
    }

    /// A required string.
    mutating func string(_ key: String) throws(DataFileError) -> String {
        guard let text = try required(key).string else { throw wrong(key, "is not text") }
        return text
    }

    /// Text that may be absent.
    mutating func optionalString(_ key: String) throws(DataFileError) -> String? {
        optional(key) == nil ? nil : try string(key)
    }

    /// A truth value, false when it is absent.
    mutating func flag(_ key: String) throws(DataFileError) -> Bool {
        guard let value = optional(key) else { return false }
        guard let flag = value.bool else { throw wrong(key, "is neither true nor false") }
        return flag
    }

    /// One text or a list of texts; empty when the member is absent.
    mutating func strings(_ key: String) throws(DataFileError) -> [String] {
        guard let value = optional(key) else { return [] }
        let list = value.array ?? [value]
        let texts = list.compactMap(\.string)
        guard texts.count == list.count else { throw wrong(key, "is neither text nor a list of texts") }
        return texts
    }

    /// One of the cases of a type.
    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _ type: Choice.Type
    ) throws(DataFileError) -> Choice where Choice.RawValue == String {
        let text = try string(key)
        guard let choice = Choice(rawValue: text) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw wrong(key, "is '\(text)'; known: \(known)")
        }
        return choice
    }

    /// The members of an object that may be absent, in order.
    mutating func members(_ key: String) throws(DataFileError) -> [(String, JSON)] {
        guard let value = optional(key) else { return [] }
        guard let object = value.object else { throw wrong(key, "is not an object") }
        return Array(object.members)
    }

    /// Refuses members that were not read.
    func finish() throws(DataFileError) {
        for key in object.keys where !asked.contains(key) { throw wrong(key, "is not a member that resect knows") }
    }
}
