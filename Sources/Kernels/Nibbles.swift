internal import CKernels

/// Codes of four bits, one a byte in memory, eight a word in files, the first in the lowest bits.
package enum Nibbles {
    /// Codes in one word.
    package static let perWord = 8

    /// Packs neighbours: `count` words from `8 * count` codes.
    package static func pack(
        _ codes: UnsafePointer<UInt8>, into words: UnsafeMutablePointer<UInt32>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        resect_pack_nibbles(codes, words, count, instructions.rawValue)
    }

    /// Unpacks neighbours: `8 * count` codes from `count` words, at any address.
    package static func unpack(
        _ words: UnsafeRawPointer, into codes: UnsafeMutablePointer<UInt8>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        resect_unpack_nibbles(words, codes, count, instructions.rawValue)
    }

    /// Packs eight rows of `count` codes into one row of words: nibble `j` is row `order[j]`.
    package static func packRows(
        _ codes: UnsafePointer<UInt8>, order: [UInt8], into words: UnsafeMutablePointer<UInt32>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        precondition(order.count == perWord)
        resect_pack_nibble_rows(codes, order, words, count, instructions.rawValue)
    }

    /// Unpacks one row of words into eight rows of `count` codes: nibble `j` is row `order[j]`.
    package static func unpackRows(
        _ words: UnsafePointer<UInt32>, order: [UInt8], into codes: UnsafeMutablePointer<UInt8>, count: Int,
        by instructions: InstructionSet = .best
    ) {
        precondition(order.count == perWord)
        resect_unpack_nibble_rows(words, order, codes, count, instructions.rawValue)
    }

    /// `output[c][r] = source[r][c]`, for words; strides are words.
    package static func transpose(
        _ source: UnsafePointer<UInt32>, rows: Int, columns: Int, stride: Int,
        into output: UnsafeMutablePointer<UInt32>, outputStride: Int
    ) {
        resect_transpose(source, rows, columns, stride, output, outputStride)
    }
}
