internal import CKernels

/// 4-bit codes: one per byte in memory, eight per 32-bit word in files, the first in the lowest bits.
package enum Nibbles {
    /// Codes in one word.
    package static let perWord = 8

    /// Joins neighbours: `count` words from `8 * count` codes.
    package static func join(
        _ codes: UnsafePointer<UInt8>, into words: UnsafeMutablePointer<UInt32>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        resect_join_nibbles(codes, words, count, instructions.rawValue)
    }

    /// Splits neighbours: `8 * count` codes from `count` words, at any address.
    package static func split(
        _ words: UnsafeRawPointer, into codes: UnsafeMutablePointer<UInt8>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        resect_split_nibbles(words, codes, count, instructions.rawValue)
    }

    /// Joins eight rows of `count` codes into one row of words: nibble `j` is row `order[j]`.
    package static func joinRows(
        _ codes: UnsafePointer<UInt8>, order: [UInt8], into words: UnsafeMutablePointer<UInt32>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        precondition(order.count == perWord)
        resect_join_nibble_rows(codes, order, words, count, instructions.rawValue)
    }

    /// Splits one row of words into eight rows of `count` codes: nibble `j` is row `order[j]`.
    package static func splitRows(
        _ words: UnsafePointer<UInt32>, order: [UInt8], into codes: UnsafeMutablePointer<UInt8>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        precondition(order.count == perWord)
        resect_split_nibble_rows(words, order, codes, count, instructions.rawValue)
    }

    /// `output[c][r] = source[r][c]`, for words; strides are words.
    package static func transpose(
        _ source: UnsafePointer<UInt32>, rows: Int, columns: Int, stride: Int,
        into output: UnsafeMutablePointer<UInt32>, outputStride: Int
    ) {
        resect_transpose(source, rows, columns, stride, output, outputStride)
    }
}
