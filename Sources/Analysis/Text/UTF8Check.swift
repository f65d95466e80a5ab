/// The rules of UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF.
package enum UTF8Check {
    /// The offset of the first byte that is not valid UTF-8; `nil` when all are.
    package static func firstInvalidByte(_ text: UnsafeRawBufferPointer) -> Int? {
        var index = 0
        while index < text.count {
            let first = text[index]
            if first < 0x80 {
                index += 1
                continue
            }
            let (count, second): (Int, ClosedRange<UInt8>)
            switch first {
            case 0xC2...0xDF: (count, second) = (2, 0x80...0xBF)
            case 0xE0: (count, second) = (3, 0xA0...0xBF)
            case 0xED: (count, second) = (3, 0x80...0x9F)
            case 0xE1...0xEF: (count, second) = (3, 0x80...0xBF)
            case 0xF0: (count, second) = (4, 0x90...0xBF)
            case 0xF1...0xF3: (count, second) = (4, 0x80...0xBF)
            case 0xF4: (count, second) = (4, 0x80...0x8F)
            default: return index
            }
            guard index + count <= text.count, second.contains(text[index + 1]),
                (2..<max(count, 2)).allSatisfy({ text[index + $0] & 0xC0 == 0x80 })
            else { return index }
            index += count
        }
        return nil
    }
}
