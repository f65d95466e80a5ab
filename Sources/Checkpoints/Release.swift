internal import CStorage
internal import CXXHash
internal import CZstd

/// The version of the program, and how it was built.
package enum Release {
    /// The version, as `resect --version` prints it.
    package static let version = "0.1.0"

    /// The commit that the program was built from; `nil` when the build did not state it.
    package static var commit: String? {
        let text = String(cString: resect_commit())
        return text.isEmpty ? nil : text
    }

    /// The libraries that the program runs with, and their versions.
    package static var libraries: [(name: String, version: String)] {
        let hash = XXH_versionNumber()
        return [
            ("zstd", String(cString: ZSTD_versionString())),
            ("xxHash", "\(hash / 10000).\(hash / 100 % 100).\(hash % 100)"),
        ]
    }
}
