internal import CFormats

/// The data files of formats/, embedded when the package is built.
package enum EmbeddedFiles {
    /// The parsed files below a folder (`"architectures/"`), in the order of the registry.
    ///
    /// A file that does not parse is our bug, and traps: every test finds it.
    package static func parsed(under folder: String) -> [(name: String, value: JSON)] {
        (0..<resect_format_file_count()).compactMap { index -> (name: String, value: JSON)? in
            guard let file = resect_format_file_at(index)?.pointee else { return nil }
            let name = String(cString: file.name)
            guard name.hasPrefix(folder) else { return nil }
            do throws(JSONError) {
                let bytes = UnsafeRawBufferPointer(start: file.bytes, count: file.length)
                return (name, try JSON.parse(bytes))
            } catch {
                fatalError("formats/\(name): \(error.problem) at byte \(error.byteOffset)")
            }
        }
    }
}
