import TestSupport
import Testing

/// Arithmetic on numbers from a file is checked; where it cannot overflow, the line says why: `// fits: both are below 2^32`.
@Suite("the arithmetic of the readers")
struct ArithmeticLintTests {
    /// What parses or places the contents of hostile files.
    static let readers = [
        "GGUF", "Safetensors", "Pickle", "Archive", "Importance", "Recipe.swift", "Tensor.swift",
        "Storage/ByteCursor.swift", "Storage/FileImage.swift", "Storage/MappedFile.swift",
    ]

    /// What packs archives sees only files that were read, and its own results.
    static let packers = [
        "Writing.swift", "Plan.swift", "Plan+Base.swift", "Packer.swift", "Encoder.swift", "Repair.swift",
    ]

    @Test("nothing can overflow that is not checked, or said to fit", arguments: readers)
    func checked(name: String) {
        let path = Fixture.root + "/Sources/Checkpoints/" + name
        for file in ArithmeticLintTests.swiftFiles(path) {
            let text = String(decoding: Files.read(file), as: UTF8.self)
            for finding in ArithmeticLint.findings(in: text) {
                Issue.record("\(file.dropFirst(Fixture.root.count + 1)):\(finding)")
            }
        }
    }

    @Test("the readers are where they are looked for")
    func complete() {
        let files = ArithmeticLintTests.readers.flatMap {
            ArithmeticLintTests.swiftFiles(Fixture.root + "/Sources/Checkpoints/" + $0)
        }
        #expect(files.count >= 10 && files.contains { $0.hasSuffix("GGUFReader.swift") })
    }

    @Test(
        "unchecked arithmetic is found",
        arguments: [
            "let end = byteOffset + byteCount", "offset += size", "let end = start + file.dataOffset",
            "let n = rows * columns",
            "n *= 2", "n &*= 2", "let n = a &+ b", "let n = 1 << bits", "let n = a &<< bits", "n <<= 1",
            "return (a) * (b)",
            "let n = a // fits: not said of what follows\n let m = a * b", #"let t = "a \(row * b)" // no"#,
            "let n = x.reduce(1, *)", "let n = a * b // fits:", #"let n = "a" + b + c * d"#,
        ])
    func found(line: String) { #expect(!ArithmeticLint.findings(in: line).isEmpty) }

    @Test(
        "everything else is let be",
        arguments: [
            "let end = byteOffset + byteCount // fits: both lie in the file", "// n * m", "/// a * b",
            #"let t = "a * b""#,
            #"let t = "a" + b"#, #"let t = byteOffset + "c""#, "let t = byteOffset\n    + \"b\"", "let n = a - b",
            "list += other.list", "let n = 64 << 20", "let n = a / b % c", "let n = a >> 3",
            "let n = a.multipliedReportingOverflow(by: b)", #"let t = "\(a) * \(b)""#, "let f: (Int) -> Int = { $0 }",
            "if a && b || !c {}", "let url = \"https://x\" // a * b",
        ])
    func passed(line: String) { #expect(ArithmeticLint.findings(in: line) == []) }

    private static func swiftFiles(_ path: String) -> [String] {
        if path.hasSuffix(".swift") { return packers.contains(where: path.hasSuffix) ? [] : [path] }
        return Files.names(path).flatMap { swiftFiles(path + "/" + $0) }
    }
}

/// Finds products, shifts and sums of offsets that trap, or wrap, when nobody has checked the numbers.
enum ArithmeticLint {
    private static let mark = "// fits: "
    private static let operators = ["*", "*=", "&*", "&*=", "<<", "<<=", "&<<", "&<<=", "&+", "&+="]
    private static let sums = ["+", "+="]

    /// The lines with arithmetic that is neither checked nor said to fit, each after its number.
    static func findings(in text: String) -> [String] {
        var findings: [String] = []
        var before = ""
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let (code, embedded) = code(of: line)
            let reason = line.firstRange(of: mark).map { line[$0.upperBound...] } ?? ""
            let isSaid = reason.contains { $0 != " " }
            if !isSaid, isUnchecked(code, after: before) || embedded.contains(where: { isUnchecked($0, after: "") }) {
                findings.append("\(number + 1): \(line.drop { $0 == " " })")
            }
            if code.contains(where: { $0 != " " }) { before = code }
        }
        return findings
    }

    private static func isUnchecked(_ code: String, after before: String) -> Bool {
        let words = code.split(separator: " ").map(String.init)
        for (index, word) in words.enumerated() {
            let left = index > 0 ? words[index - 1] : before.split(separator: " ").last.map(String.init) ?? ""
            let right = index + 1 < words.count ? words[index + 1] : ""
            // The compiler computes what consists of digits.
            if operators.contains(word), !(isLiteral(left) && isLiteral(right)) { return true }
            // Texts and lists are put together with the same signs.
            guard sums.contains(word), !left.hasSuffix("\""), !right.hasPrefix("\"") else { continue }
            if isOffset(left) || isOffset(right) { return true }
        }
        // Operators that are handed over: reduce(1, *).
        return code.contains(", *)")
    }

    private static func isLiteral(_ word: String) -> Bool { word.allSatisfy(\.isNumber) }

    /// Whether an operand is a place in a file by its name.
    private static func isOffset(_ word: String) -> Bool {
        word.lowercased().filter { $0.isLetter || $0 == "." }.hasSuffix("offset")
    }

    /// The code of a line without comments, its texts emptied, and what is interpolated in those.
    private static func code(of line: Substring) -> (code: String, embedded: [String]) {
        var code = ""
        var embedded: [String] = []
        var rest = line
        while let character = rest.first {
            if rest.hasPrefix("//") { break }
            rest = rest.dropFirst()
            code.append(character)
            guard character == "\"" else { continue }
            text(&rest, &embedded)
            code.append("\"")
        }
        return (code, embedded)
    }

    /// Skips a text to its closing quote, and gives what stands in `\(…)`.
    private static func text(_ rest: inout Substring, _ embedded: inout [String]) {
        while let character = rest.popFirst(), character != "\"" {
            guard character == "\\", let escaped = rest.popFirst(), escaped == "(" else { continue }
            var depth = 1
            var inner = ""
            while depth > 0, let next = rest.popFirst() {
                depth += next == "(" ? 1 : next == ")" ? -1 : 0
                if depth > 0 { inner.append(next) }
            }
            embedded.append(inner)
        }
    }
}
