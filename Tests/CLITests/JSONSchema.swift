import Formats

/// The part of JSON Schema (2020-12) that the files in schemas/ use; any other keyword is a fault.
struct JSONSchema {
    /// The documents by file name.
    let documents: [String: JSON]
    /// Where every property was found in a value, as `FILE#/POINTER`.
    private(set) var found: Set<String> = []

    init(_ documents: [String: JSON]) { self.documents = documents }

    private static let annotations: Set<String> = [
        "$schema", "$comment", "$defs", "title", "description", "examples",
    ]
    private static let assertions: Set<String> = [
        "$ref", "anyOf", "type", "enum", "properties", "required", "additionalProperties", "items", "minItems",
        "maxItems",
        "minimum",
        "maximum",
    ]

    /// What is wrong with a value by the schema of a file.
    mutating func faults(of value: JSON, in file: String) -> [String] {
        guard let schema = documents[file] else { return ["there is no \(file)"] }
        var faults: [String] = []
        check(value, "", Located(schema: schema, file: file, pointer: ""), &faults)
        return faults
    }

    /// A schema and where it stands.
    struct Located {
        let schema: JSON
        let file: String
        let pointer: String

        var place: String { "\(file)#\(pointer)" }

        func member(_ keys: String...) -> Located? {
            var result = schema
            for key in keys {
                guard let next = result[key] else { return nil }
                result = next
            }
            return Located(schema: result, file: file, pointer: ([pointer] + keys).joined(separator: "/"))
        }
    }

    /// The schema that a reference names: `FILE#/a/b`, or `#/a/b` in the same file.
    func target(_ reference: String, from file: String) -> Located? {
        let parts = reference.split(separator: "#", omittingEmptySubsequences: false).map(String.init)
        let home = parts[0].isEmpty ? file : parts[0]
        guard parts.count == 2, var schema = documents[home] else { return nil }
        for key in parts[1].split(separator: "/") {
            guard let next = schema[String(key)] else { return nil }
            schema = next
        }
        return Located(schema: schema, file: home, pointer: parts[1])
    }

    private mutating func check(_ value: JSON, _ path: String, _ place: Located, _ faults: inout [String]) {
        if case .bool(let allows) = place.schema {
            if !allows { faults.append("\(path): nothing is allowed by \(place.place)") }
            return
        }
        guard let members = place.schema.object?.members else {
            faults.append("\(place.place) is no schema")
            return
        }
        for (key, rule) in members where !JSONSchema.annotations.contains(key) {
            guard JSONSchema.assertions.contains(key) else {
                faults.append("\(place.place): unknown keyword \(key)")
                continue
            }
            switch (key, value) {
            case ("$ref", _):
                guard let target = target(rule.string ?? "", from: place.file) else {
                    faults.append("\(place.place) refers to nothing")
                    continue
                }
                check(value, path, target, &faults)
            case ("anyOf", _):
                let matches = (rule.array ?? []).indices.contains { index in
                    var problems: [String] = []
                    let inner = Located(
                        schema: rule.array?[index] ?? .null, file: place.file,
                        pointer: "\(place.pointer)/anyOf/\(index)")
                    check(value, path, inner, &problems)
                    return problems.isEmpty
                }
                if !matches { faults.append("\(path): matches none of anyOf in \(place.place)") }
            case ("type", _):
                let names = rule.array?.compactMap(\.string) ?? [rule.string ?? ""]
                if !names.contains(where: { JSONSchema.has(value, type: $0) }) {
                    faults.append(
                        "\(path): \(value.compact.prefix(60)) is not of type \(names.joined(separator: " or "))")
                }
            case ("enum", _):
                if rule.array?.contains(value) != true {
                    faults.append("\(path): \(value.compact.prefix(60)) is not allowed")
                }
            case ("minimum", .number(let text)):
                if let least = rule.double, let number = Double(text), number < least {
                    faults.append("\(path): \(text) is below \(least)")
                }
            case ("maximum", .number(let text)):
                if let most = rule.double, let number = Double(text), number > most {
                    faults.append("\(path): \(text) is above \(most)")
                }
            case ("minItems", .array(let items)):
                if items.count < rule.int ?? 0 { faults.append("\(path): has only \(items.count) elements") }
            case ("maxItems", .array(let items)):
                if items.count > rule.int ?? 0 { faults.append("\(path): has \(items.count) elements") }
            case ("items", .array(let items)):
                guard let inner = place.member("items") else { continue }
                for (index, item) in items.enumerated() { check(item, "\(path)[\(index)]", inner, &faults) }
            case ("required", .object(let object)):
                for name in rule.array ?? [] where object[name.string ?? ""] == nil {
                    faults.append("\(path): has no \(name.string ?? "")")
                }
            case ("properties", .object(let object)):
                for (name, item) in object.members {
                    guard let inner = place.member("properties", name) else { continue }
                    found.insert(counted(inner))
                    check(item, "\(path).\(name)", inner, &faults)
                }
            case ("additionalProperties", .object(let object)):
                guard let inner = place.member("additionalProperties") else { continue }
                for (name, item) in object.members where place.schema["properties"]?[name] == nil {
                    if inner.schema == .bool(false) {
                        faults.append("\(path): \(name) is not in the schema")
                    } else {
                        check(item, "\(path).\(name)", inner, &faults)
                    }
                }
            default: break
            }
        }
    }

    /// Where a property counts: a reference without a description of its own counts for what it names.
    private func counted(_ property: Located) -> String {
        guard property.schema.object?.count == 1, let reference = property.schema["$ref"]?.string,
            let target = target(reference, from: property.file)
        else { return property.place }
        return target.place
    }

    /// Every property of the documents.
    var properties: Set<String> {
        var result: Set<String> = []
        func walk(_ place: Located) {
            for (name, inner) in place.schema["properties"]?.object?.members.map({ $0 }) ?? [] {
                let pointer = "\(place.pointer)/properties/\(name)"
                let located = Located(schema: inner, file: place.file, pointer: pointer)
                result.insert(counted(located))
                walk(located)
            }
            for (name, inner) in place.schema["$defs"]?.object?.members.map({ $0 }) ?? [] {
                walk(Located(schema: inner, file: place.file, pointer: "\(place.pointer)/$defs/\(name)"))
            }
            for key in ["items", "additionalProperties"] { if let inner = place.member(key) { walk(inner) } }
        }
        for (file, schema) in documents { walk(Located(schema: schema, file: file, pointer: "")) }
        return result
    }

    private static func has(_ value: JSON, type: String) -> Bool {
        switch (type, value) {
        case ("null", .null), ("boolean", .bool), ("string", .string), ("array", .array), ("object", .object),
            ("number", .number):
            true
        case ("integer", .number(let text)): Double(text).map { $0 == $0.rounded() } ?? false
        default: false
        }
    }
}
