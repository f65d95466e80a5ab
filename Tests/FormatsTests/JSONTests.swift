import Dispatch
import Formats
import TestSupport
import Testing

@Suite("ordered JSON")
struct JSONTests {
    @Test("order, number text and unknown members survive")
    func lossless() throws {
        let text = #"{"z":1.0E-5,"a":[-0,1e400,0.10,12345678901234567890],"":{"b":null,"a":true}}"#
        #expect(try JSON.parse(text).compact == text)
    }

    @Test("white space between tokens changes nothing")
    func space() throws {
        let spaced = "\t{ \"a\" :\r\n [ 1 , { } , [ ] , \"x\" ] , \"b\" : false }\n"
        #expect(try JSON.parse(spaced).compact == #"{"a":[1,{},[],"x"],"b":false}"#)
    }

    @Test("what is written reads back equal", arguments: 1...20)
    func roundTrip(seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        let value = JSONTests.random(depth: 4, &generator)
        #expect(try JSON.parse(value.compact) == value)
        #expect(try JSON.parse(value.pretty) == value)
    }

    @Test("the pretty form is that of Python's json.dump(indent=2)")
    func pretty() throws {
        let value = try JSON.parse(#"{"a":[1,[],{}],"é":"\u0001\n"}"#)
        let expected = """
            {
              "a": [
                1,
                [],
                {}
              ],
              "é": "\\u0001\\n"
            }

            """
        #expect(value.pretty == expected)
    }

    @Test("a line for other programs has no control characters, and no numbers that are not finite")
    func standardLine() {
        let value = JSON.array([.string("a\u{7F}\u{85}\u{9F}é\u{A0}\u{1}\"\\\n"), .number("-Infinity"), .number("1e5")])
        let expected = "[\"a\\u007f\\u0085\\u009fé\u{A0}\\u0001\\\"\\\\\\n\",\"-Infinity\",1e5]"
        #expect(String(decoding: value.standardLine, as: UTF8.self) == expected)
    }

    @Test("an object keeps the order of its keys, few or many, when they are set again and removed")
    func keys() {
        for count in [3, 8, 9, 40] {
            var object = JSONObject((0..<count).map { ("k\($0)", .int($0)) })
            object["k1"] = .bool(true)
            object["k0"] = nil
            object["é"] = .null
            // Another spelling of the same character is another key.
            object["e\u{301}"] = .bool(false)
            #expect(!object.append("k2", .null) && object["k0"] == nil && object["k1"] == .bool(true))
            #expect(object["é"] == .null && object["e\u{301}"] == .bool(false))
            #expect(object.keys.map { $0.utf8.count } == (1..<count).map { "k\($0)".utf8.count } + [2, 3])
        }
    }

    @Test(
        "escapes become the characters that they stand for",
        arguments: [
            (#""\u0041\u00e9\u20AC""#, "Aé€"), (#""\ud83d\ude00""#, "😀"),
            (#""\\\/\"\b\f\n\r\t""#, "\\/\"\u{8}\u{C}\n\r\t"),
            (#""\u0000""#, "\0"), (#""\ud800\udc00\udbff\udfff""#, "\u{10000}\u{10FFFF}"),
        ])
    func escapes(text: String, expected: String) throws {
        #expect(try JSON.parse(text).string == expected)
    }

    @Test(
        "what JSON does not allow is refused, with the place",
        arguments: [
            ("", 0), ("nul", 0), ("tru e", 0), ("01", 0), ("-", 0), ("+1", 0), (".5", 0), ("1.", 2), ("1e", 2),
            ("1e+", 3),
            ("NaN", 0), ("Infinity", 0), ("[1,]", 3), ("[1 2]", 3), ("{\"a\" 1}", 5), ("{a:1}", 1), ("{\"a\":1,}", 7),
            ("[1]x", 3), ("\"a", 0), ("\"\t\"", 1), (#""\x""#, 2), (#""\u12g4""#, 5), (#""\ud83d""#, 7),
            (#""\udc00""#, 7), (#""\ud83d\u0041""#, 13), ("'a'", 0), ("//", 0), ("[1]\u{0}", 3),
        ])
    func malformed(text: String, byteOffset: Int) {
        do {
            let value = try JSON.parse(text)
            Issue.record("\(text) was read as \(value)")
        } catch {
            #expect(error.byteOffset == byteOffset, "\(text): \(error.problem)")
        }
    }

    @Test(
        "what other readers accept is called by its name",
        arguments: [
            ("\u{FEFF}{}", "begins with a byte order mark"), ("{\"a\":1,}", "a comma before '}'"),
            ("[1, ]", "a comma before ']'"), ("{ // a\n}", "a comment"), ("[1 /* a */]", "a comment"),
            ("/* a */ {}", "a comment"), ("{} // a", "a comment"), ("{\"a\" /**/: 1}", "a comment"),
            ("[/]", "not a JSON value"), ("NaN", "NaN is not a JSON number"),
            ("[-Infinity]", "-Infinity is not a JSON number"), ("{\"a\":Infinity}", "Infinity is not a JSON number"),
        ])
    func dialects(text: String, problem: String) {
        let error = #expect(throws: JSONError.self) { try JSON.parse(text) }
        #expect(error?.problem.hasPrefix(problem) == true, "\(error?.problem ?? "")")
    }

    @Test(
        "UTF-16 and UTF-32 are called so",
        arguments: [
            [0xFF, 0xFE, 0x7B, 0, 0x7D, 0], [0xFE, 0xFF, 0, 0x7B, 0, 0x7D], [0x7B, 0, 0x7D, 0], [0, 0x7B, 0, 0x7D],
            [0, 0, 0, 0x7B],
        ] as [[UInt8]])
    func encodings(bytes: [UInt8]) {
        let error = #expect(throws: JSONError.self) { try bytes.withUnsafeBytes { try JSON.parse($0) } }
        #expect(error?.problem.contains("UTF-16") == true)
    }

    @Test("Infinity and NaN keep their text where Python has written them")
    func nonFinite() throws {
        let text = #"{"a":[0.0,Infinity],"b":-Infinity,"c":NaN,"d":"NaN"}"#
        let value = try JSON.parse(text, allowsNonFinite: true)
        #expect(value.compact == text)
        #expect(value["a"]?.array?.last?.double == .infinity && value["b"]?.double == -.infinity)
        #expect(value["c"]?.double?.isNaN == true && value["c"]?.int == nil)
        #expect(value.standard.compact == #"{"a":[0.0,"Infinity"],"b":"-Infinity","c":"NaN","d":"NaN"}"#)
        for wrong in ["Infinit", "-", "-NaN", "+Infinity", "nan", "Infinity1", "--Infinity"] {
            #expect(throws: JSONError.self, "\(wrong)") { try JSON.parse(wrong, allowsNonFinite: true) }
        }
    }

    @Test("a key that stands twice is refused, wherever the object is")
    func duplicates() {
        let error = #expect(throws: JSONError.self) { try JSON.parse(#"[{"a":1,"b":2,"\u0061":3}]"#) }
        #expect(error?.problem == "the key 'a' occurs twice in one object")
        #expect(error?.byteOffset == 14)
    }

    @Test("keys that differ only in composition are two keys")
    func composition() throws {
        let object = try #require(try JSON.parse(#"{"\u00e9":1,"e\u0301":2}"#).object)
        #expect(object.count == 2)
        #expect(object["\u{e9}"] == .int(1))
        #expect(object["e\u{301}"] == .int(2))
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [[0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xE2, 0x82], [0xF5, 0x80, 0x80, 0x80]])
    func badUTF8(bytes: [UInt8]) {
        let text = Array("[\"".utf8) + bytes + Array("\"]".utf8)
        let error = #expect(throws: JSONError.self) { try text.withUnsafeBytes { try JSON.parse($0) } }
        #expect(error?.problem == "a string is not UTF-8")
    }

    @Test("a text that is cut anywhere is refused")
    func truncation() throws {
        let text = Array(#"{"a":[true,false,null,-1.5e+3],"b\u00e9\ud83d\ude00":{"c":"é"},"d":[]}"#.utf8)
        _ = try text.withUnsafeBytes { try JSON.parse($0) }
        for count in 0..<text.count {
            #expect(throws: JSONError.self, "\(count) bytes") {
                try text[..<count].withUnsafeBytes { try JSON.parse($0) }
            }
        }
    }

    @Test("50,000 levels are refused on a small stack", arguments: ["[", "{\"a\":", "[{\"a\":"])
    func depth(opening: String) {
        let text = String(repeating: opening, count: 50_000)
        let problem = onSmallStack { () -> String in
            do throws(JSONError) {
                return try JSON.parse(text).compact
            } catch {
                return error.problem
            }
        }
        #expect(problem == "nested deeper than 128 levels")
    }

    @Test("128 levels are read, written and released on a small stack")
    func allowedDepth() {
        let text = String(repeating: "[", count: 129) + String(repeating: "]", count: 129)
        #expect(onSmallStack { (try? JSON.parse(text))?.compact } == text)
    }

    @Test("100,000 members take no quadratic time")
    func manyMembers() throws {
        let members = (0..<100_000).map { "\"key \($0)\":\($0)" }
        let clock = ContinuousClock()
        let time = try clock.measure {
            let object = try #require(try JSON.parse("{" + members.joined(separator: ",") + "}").object)
            #expect(object["key 99999"] == .int(99_999))
        }
        #expect(time < .seconds(20))
    }

    @Test("setting keeps the place of a key, appends a new one, and removes with nil")
    func editing() throws {
        var object = try #require(try JSON.parse(#"{"a":1,"b":2,"c":3}"#).object)
        object["b"] = .string("x")
        object["d"] = .null
        object["a"] = nil
        object["missing"] = nil
        #expect(JSON.object(object).compact == #"{"b":"x","c":3,"d":null}"#)
        #expect(object["c"] == .int(3))
    }

    @Test("numbers are integers only when written so, and only when they fit")
    func numbers() {
        #expect(JSON.number("-9223372036854775808").int == Int.min)
        #expect(JSON.number("9223372036854775808").int == nil)
        #expect(JSON.number("1.0").int == nil)
        #expect(JSON.number("1e400").double == .infinity)
        #expect(JSON.double(.nan) == .null)
        #expect(JSON.double(1e-05).compact == "1e-05")
    }

    private static func random(depth: Int, _ generator: inout SeededGenerator) -> JSON {
        switch Int.random(in: depth > 0 ? 0...6 : 0...4, using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .int(Int.random(in: .min ... .max, using: &generator))
        case 3: return .double(Double.random(in: -1e10...1e10, using: &generator))
        case 4:
            let scalars = (0..<Int.random(in: 0...8, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...0x10FFFF, using: &generator))
            }
            return .string(String(String.UnicodeScalarView(scalars)))
        case 5: return .array((0..<3).map { _ in random(depth: depth - 1, &generator) })
        default:
            return .object(JSONObject((0..<3).map { ("key\($0)\"\\", random(depth: depth - 1, &generator)) }))
        }
    }
}
