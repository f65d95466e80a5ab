internal import Formats

/// The tensors that the header of a safetensors file describes.
///
/// Headers of 100,000 tensors exist, so it is read without a tree of values. What the official library accepts is
/// accepted and what it refuses is refused, with three exceptions:
/// - A name that occurs twice is refused, in `__metadata__` too: the library takes the later one, other readers the
///   first.
/// - A tensor is an object, and its dtype a string: the library's decoder takes an array of the three values too.
/// - A dimension is below 2^63, also where another one is 0.
struct SafetensorsHeader {
    /// `__metadata__`, when it is there.
    private(set) var metadata: JSONObject?
    /// The tensors, in the order of the header, and where the data of each begins.
    private(set) var tensors: [Tensor] = []
    private(set) var begins: [Int] = []
    /// The first invalid tensor, and the first outside the file.
    private(set) var problem: CheckpointError?
    private(set) var outside: CheckpointError?

    private let file: any FileImage
    private let dataStart: Int
    private var hasMetadata = false
    /// A reusable buffer for the numbers of an array.
    private var numbers: [Int] = []
    /// The first few shapes that occurred, for reuse.
    private var shapes: [[Int]] = []
    private static let maximumShapes = 16
    /// The last type that occurred, for reuse.
    private var lastType: (text: String, dtype: DType)?

    /// One tensor as the header describes it.
    private struct Entry {
        /// The text of its type; `nil` when it is not a string.
        var type: String?
        var dtype: DType?
        /// `nil` when it is not an array of integers.
        var shape: [Int]?
        /// `nil` when it is not two ascending integers.
        var range: Range<Int>?
    }

    /// Reads a header.
    ///
    /// - Parameter dataStart: where the data begins in the file.
    init(_ bytes: UnsafeRawBufferPointer, of file: any FileImage, dataStart: Int) throws(JSONError) {
        self.file = file
        self.dataStart = dataStart
        // Common tensors take about as many bytes here.
        tensors.reserveCapacity(bytes.count / 96)
        begins.reserveCapacity(bytes.count / 96)
        var scanner = JSONScanner(bytes: bytes)
        scanner.skipSpace()
        guard scanner.isNext(UInt8(ascii: "{")) else { throw scanner.error("not a JSON object") }
        try scanner.members { (name, scanner) throws(JSONError) in
            if name == "__metadata__" { try readMetadata(&scanner) } else { try readTensor(name, &scanner) }
        }
        scanner.skipSpace()
        guard scanner.atEnd else { throw scanner.error("text after the end of the value") }
    }

    private mutating func readMetadata(_ scanner: inout JSONScanner) throws(JSONError) {
        if hasMetadata { throw scanner.error("__metadata__ occurs twice") }
        hasMetadata = true
        if try scanner.takeNull() { return }
        guard scanner.isNext(UInt8(ascii: "{")) else {
            throw scanner.error("__metadata__ is not a map from text to text")
        }
        var object = JSONObject()
        try scanner.members { (key, scanner) throws(JSONError) in
            let start = scanner.position
            guard let text = try scanner.stringOrSkip(depth: 2) else {
                throw scanner.error("__metadata__ is not a map from text to text", at: start)
            }
            guard object.append(key, .string(text)) else {
                throw scanner.error("the key '\(key)' occurs twice in one object", at: start)
            }
        }
        metadata = object
    }

    private mutating func readTensor(_ name: String, _ scanner: inout JSONScanner) throws(JSONError) {
        let start = scanner.position
        var entry = Entry()
        if try !readUsual(&entry, &scanner) {
            scanner.back(to: start)
            entry = try readAny(name, &scanner)
        }
        add(name, entry)
    }

    /// Reads a tensor in the spelling of the official library, which nearly every file has: no white space, and the
    /// members in this order.
    ///
    /// - Returns: whether the tensor had this spelling and was read.
    private mutating func readUsual(_ entry: inout Entry, _ scanner: inout JSONScanner) throws(JSONError) -> Bool {
        guard scanner.take(#"{"dtype":""#), let type = scanner.restOfString() else { return false }
        if type != lastType?.text {
            guard let dtype = DType(safetensors: type) else { return false }
            lastType = (type, dtype)
        }
        entry.dtype = lastType?.dtype
        guard scanner.take(#","shape":"#), scanner.isNext(UInt8(ascii: "[")) else { return false }
        entry.shape = try readShape(&scanner)
        guard scanner.take(#","data_offsets":["#), let begin = scanner.wholeNumber(), scanner.take(","),
            let end = scanner.wholeNumber(), begin <= end
        else { return false }
        entry.range = begin..<end
        return scanner.take("]}")
    }

    /// Reads a tensor in any valid notation.
    private mutating func readAny(_ name: String, _ scanner: inout JSONScanner) throws(JSONError) -> Entry {
        var entry = Entry()
        guard scanner.isNext(UInt8(ascii: "{")) else {
            try scanner.skip(depth: 1)
            return entry
        }
        var seen: UInt8 = 0
        try scanner.members { (key, scanner) throws(JSONError) in
            let member: UInt8 = key == "dtype" ? 1 : key == "shape" ? 2 : key == "data_offsets" ? 4 : 0
            guard seen & member == 0 else { throw scanner.error("'\(key)' occurs twice in '\(name)'") }
            seen |= member
            switch member {
            case 1:
                entry.type = try scanner.stringOrSkip(depth: 2)
                entry.dtype = entry.type.flatMap(DType.init(safetensors:))
            case 2: entry.shape = try readShape(&scanner)
            case 4: entry.range = try readRange(&scanner)
            default: try scanner.skip(depth: 2)
            }
        }
        return entry
    }

    private mutating func readShape(_ scanner: inout JSONScanner) throws(JSONError) -> [Int]? {
        guard try scanner.wholeNumbersOrSkip(depth: 2, into: &numbers) else { return nil }
        // Layers repeat their shapes: one array for all of them.
        for shape in shapes where shape == numbers { return shape }
        let shape = Array(numbers)
        if shapes.count < SafetensorsHeader.maximumShapes { shapes.append(shape) }
        return shape
    }

    private mutating func readRange(_ scanner: inout JSONScanner) throws(JSONError) -> Range<Int>? {
        guard try scanner.wholeNumbersOrSkip(depth: 2, into: &numbers), numbers.count == 2, numbers[0] <= numbers[1]
        else { return nil }
        return numbers[0]..<numbers[1]
    }

    /// Adds a tensor, or notes why it cannot be.
    private mutating func add(_ name: String, _ entry: Entry) {
        guard let dtype = entry.dtype, let shape = entry.shape, let range = entry.range,
            let count = shape.checkedProduct, dtype.byteCount(of: count) == range.count
        else {
            problem = problem ?? SafetensorsHeader.problem(name, entry, file: file)
            return
        }
        let (byteOffset, overflow) = dataStart.addingReportingOverflow(range.lowerBound)
        let recipe: Recipe
        do throws(CheckpointError) {
            recipe = try file.recipe(overflow ? Int.max : byteOffset, range.count, tensor: name)
        } catch {
            // Reported only when nothing else is wrong; the tensor is not used.
            outside = outside ?? error
            recipe = file.recipe(checked: 0, 0)
        }
        begins.append(range.lowerBound)
        tensors.append(
            Tensor(name: name, dtype: dtype, shape: shape, recipe: recipe, byteCount: range.count, count: count))
    }

    /// The fault of a tensor.
    private static func problem(_ name: String, _ entry: Entry, file: any FileImage) -> CheckpointError {
        func wrong(_ problem: String) -> CheckpointError { CheckpointError(file: file.path, tensor: name, problem) }
        guard let dtype = entry.dtype else {
            return wrong(entry.type.map { "has the unknown dtype '\($0)'" } ?? "has no dtype")
        }
        guard let shape = entry.shape else { return wrong("has no shape of integers") }
        guard let range = entry.range else { return wrong("has no data_offsets in order") }
        guard let byteCount = shape.checkedProduct.flatMap(dtype.byteCount(of:)) else {
            return wrong("of type \(dtype) cannot have the shape \(shape)")
        }
        return wrong(
            "of type \(dtype) and shape \(shape) needs \(byteCount.grouped) bytes; its offsets span "
                + range.count.grouped)
    }
}
