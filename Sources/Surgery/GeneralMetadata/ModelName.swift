/// The parts of a model's name, such as `Qwen/Qwen2.5-7B-Instruct`: the organization, and in the name itself the family,
/// its version, the size and the kind of fine-tuning. GGUF's naming convention has keys for them.
struct ModelName {
    /// The name without the organization.
    let name: String
    /// Who made it.
    private(set) var organization: String?
    /// The family: `Qwen2.5`.
    private(set) var basename: String?
    /// The kind of fine-tuning: `Instruct`.
    private(set) var finetune: String?
    /// The version: `v0.3`.
    private(set) var version: String?
    /// The size: `7B`.
    private(set) var sizeLabel: String?

    private struct Part {
        var text: String
        var kinds: Set<Kind> = []
    }

    private enum Kind { case basename, size, finetune, version, type }

    /// How many parameters a plain size stands for: 7 billion for `7B`.
    var parameterCount: Double? { sizeLabel.flatMap { Size($0)?.count } }

    /// Takes a name apart. What cannot be told apart is left out.
    ///
    /// - Parameter parameterCount: a size in the name that is far from this one is a context length.
    init(_ text: String, parameterCount: Int) {
        guard !text.contains(" ") else {
            name = text
            return
        }
        if let slash = text.firstIndex(of: "/") {
            name = String(text[text.index(after: slash)...])
            organization = text.hasPrefix(".") ? nil : String(text[..<slash])
        } else {
            name = text
        }
        var parts = name.split(separator: "-").map { Part(text: String($0)) }
        for index in parts.indices { ModelName.mark(&parts[index], isFirst: index == 0, parameterCount) }
        ModelName.dropWords(&parts)
        ModelName.markBasename(&parts)
        func joined(_ kind: Kind, unless other: Kind? = nil) -> String? {
            let found = parts.filter { $0.kinds.contains(kind) && !(other.map($0.kinds.contains) ?? false) }.map(\.text)
            return found.isEmpty ? nil : found.joined(separator: "-")
        }
        var sizes: [String] = []
        for part in parts where part.kinds.contains(.size) && !sizes.contains(part.text) { sizes.append(part.text) }
        sizeLabel = sizes.isEmpty ? nil : sizes.joined(separator: "-")
        finetune = joined(.finetune)
        version = joined(.version, unless: .basename)
        // A name of words alone says nothing about them.
        if sizeLabel != nil || finetune != nil || version != nil { basename = joined(.basename) }
    }

    private static func mark(_ part: inout Part, isFirst: Bool, _ parameterCount: Int) {
        let lower = part.text.lowercased()
        if isVersion(lower) {
            part.kinds.insert(.version)
        } else if isType(lower) {
            part.kinds.insert(.type)
            part.text = part.text.uppercased()
        } else if !isFirst, let size = Size(part.text) {
            part.text = size.text
            // fits: a number of stored elements
            if parameterCount > 0, let count = size.count,
                abs(count - Double(parameterCount)) > Double(7 * parameterCount / 8)
            {
                part.kinds.insert(.finetune)
                part.text = part.text.dropLast() + part.text.suffix(1).lowercased()
            } else {
                part.kinds.insert(.size)
            }
        } else if !isFirst, ["chat", "instruct", "vision", "lora"].contains(lower) {
            part.kinds.insert(.finetune)
        }
    }

    /// Words like `mini` are no sizes where a number is one.
    private static func dropWords(_ parts: inout [Part]) {
        guard parts.contains(where: { $0.kinds.contains(.size) && $0.text.contains(where: \.isNumber) }) else { return }
        for index in parts.indices where parts[index].text.allSatisfy(\.isLetter) { parts[index].kinds.remove(.size) }
    }

    /// The first parts that are words or versions are the family, without the versions at the end of the name.
    private static func markBasename(_ parts: inout [Part]) {
        var atStart = true
        for index in parts.indices {
            let kinds = parts[index].kinds
            if atStart, kinds.contains(.version) || (kinds.isEmpty && parts[index].text.first?.isLetter ?? false) {
                parts[index].kinds.insert(.basename)
            } else {
                atStart = false
                if kinds.isEmpty { parts[index].kinds.insert(.finetune) }
            }
        }
        for index in parts.indices.reversed() {
            guard parts[index].kinds.contains(.basename), parts[index].kinds.count > 1 else { break }
            parts[index].kinds.remove(.basename)
        }
    }

    /// `1`, `2.5`, `v0.3`, `iter2`.
    private static func isVersion(_ lower: String) -> Bool {
        let number =
            lower.hasPrefix("iter") ? lower.dropFirst(4) : lower.hasPrefix("v") ? lower.dropFirst() : lower[...]
        return isNumber(number, dots: .max)
    }

    /// Digits, with at most so many groups of more digits behind dots.
    private static func isNumber(_ text: Substring, dots: Int) -> Bool {
        let groups = text.split(separator: ".", omittingEmptySubsequences: false)
        return groups.count - 1 <= dots && groups.allSatisfy { !$0.isEmpty && $0.allSatisfy(\.isASCIIDigit) }
    }

    /// `q4_k_m`, `iq4_xs`, `fp16`, `bf16`, `f32`.
    private static func isType(_ lower: String) -> Bool {
        var text = lower.hasPrefix("b") ? lower.dropFirst() : lower[...]
        if text.hasPrefix("f") {
            text = text.dropFirst()
            if text.hasPrefix("p") { text = text.dropFirst() }
            if text == "16" || text == "32" { return true }
        }
        text = lower.hasPrefix("i") ? lower.dropFirst() : lower[...]
        guard text.hasPrefix("q"), text.dropFirst().first?.isASCIIDigit ?? false else { return false }
        let groups = text.dropFirst(2).split(separator: "_", omittingEmptySubsequences: false)
        return groups.first == "" && groups.dropFirst().allSatisfy { $0.count == 1 }
    }

    /// A size: `7B`, `8x7B`, `1_5b`, `A3B`, `7b1`, or a word.
    private struct Size {
        var text: String
        /// How many parameters; `nil` for a word and where the number is not plain.
        let count: Double?

        init?(_ part: String) {
            let lower = part.lowercased()
            if ["small", "mini", "medium", "large", "xl", "xxl"].contains(lower) {
                (text, count) = (part, nil)
                return
            }
            var rest = lower[...]
            if rest.hasPrefix("a") {
                rest = rest.dropFirst()
            } else if let cross = rest.firstIndex(of: "x") {
                guard isNumber(rest[..<cross], dots: 0) else { return nil }
                rest = rest[rest.index(after: cross)...]
            }
            let tail = rest.last?.isASCIIDigit ?? false ? rest.suffix(2) : rest.suffix(1)
            guard let unit = tail.first, "kmbt".contains(unit) else { return nil }
            let number = rest.dropLast(tail.count).replacing("_", with: ".")
            guard isNumber(number[...], dots: 1) else { return nil }
            var text = part.replacing("_", with: ".")
            // 7b1 is 7.1B.
            if tail.count == 2 { text = text.dropLast(2) + "." + text.suffix(1) + text.suffix(2).prefix(1) }
            if text.dropLast().last?.isASCIIDigit ?? false { text = text.dropLast() + text.suffix(1).uppercased() }
            self.text = text
            let scale = ["K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12][text.suffix(1).uppercased()]
            count = scale.flatMap { scale in Double(text.dropLast()).map { $0 * scale } }
        }
    }

    /// The name as a title: words begin with a capital, unless they have one or are numbers.
    static func title(_ text: String) -> String {
        text.split { $0 == "-" || $0.isWhitespace }.map { word in
            let isLower = word.contains { $0.isLetter } && !word.contains { $0.isUppercase }
            let isVersion =
                word.first?.isASCIIDigit ?? false || (word.hasPrefix("v") && isNumber(word.dropFirst(), dots: .max))
            guard isLower, !isVersion else { return String(word) }
            var title = "", isInside = false
            for character in word {
                title += isInside ? String(character) : character.uppercased()
                isInside = character.isLetter
            }
            return title
        }.joined(separator: " ")
    }
}

extension Character {
    fileprivate var isASCIIDigit: Bool { ("0"..."9").contains(self) }
}
