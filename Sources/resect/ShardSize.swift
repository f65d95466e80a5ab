internal import ArgumentParser

/// The maximum size of an output file in bytes: `5GB`, `500MB`, `2GiB`, or a number of bytes.
struct ShardSize: ExpressibleByArgument {
    let byteCount: Int

    /// Unit suffixes: powers of 1000, or of 1024 with an i.
    private static let units: [(name: String, byteCount: Double)] = [
        ("kib", 0x1p10), ("mib", 0x1p20), ("gib", 0x1p30), ("tib", 0x1p40), ("kb", 1e3), ("mb", 1e6), ("gb", 1e9),
        ("tb", 1e12), ("k", 1e3), ("m", 1e6), ("g", 1e9), ("t", 1e12), ("b", 1), ("", 1),
    ]

    init?(argument: String) {
        let text = argument.lowercased()
        guard let unit = ShardSize.units.first(where: { text.hasSuffix($0.name) }) else { return nil }
        let digits = text.dropLast(unit.name.count)
        // Digits and a point only: no signs, exponents, inf or nan.
        guard digits.allSatisfy({ $0 == "." || ("0"..."9").contains($0) }), let number = Double(digits),
            let byteCount = Int(exactly: (number * unit.byteCount).rounded(.down)), byteCount > 0
        else { return nil }
        self.byteCount = byteCount
    }
}
