#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif

/// The cache of models from the Hugging Face hub on this disk. It is only read; nothing is downloaded.
///
///     models--ORG--MODEL/refs/main            the commit of the newest version
///     models--ORG--MODEL/snapshots/COMMIT/    the files of that version
package enum HubCache {
    private static let prefix = "models--"
    private static let separator = "--"
    /// Endings of paths that name a file and no model of the hub.
    private static let fileEndings = [".gguf", ".safetensors", ".json", ".resect", ".npz"] + PyTorch.endings

    /// The folder in the cache for a path that does not exist but names a model of the hub, as `org/model` or
    /// `models--org--model`; `nil` for any other path.
    ///
    /// - Throws: when the cache does not have it.
    static func folder(named path: String) throws(CheckpointError) -> String? {
        guard let id = id(named: path), let cache else { return nil }
        let folder = cache + "/" + prefix + id.split(separator: "/").joined(separator: separator)
        let download = "hf download \(id)"
        guard FileSystem.kind(of: folder) == .folder else {
            // A name without an organization is more often a file that is missing.
            guard id.contains("/") || path.hasPrefix(prefix) else { return nil }
            throw CheckpointError(
                file: path, "does not exist, and the hub cache \(cache) has no model of that name", hint: download)
        }
        return try snapshot(in: folder, hint: download)
    }

    /// The newest version in a folder of the cache itself; `nil` for another folder.
    static func snapshot(of path: String) throws(CheckpointError) -> String? {
        let name = path.lastPathComponent
        guard name.hasPrefix(prefix), FileSystem.kind(of: path + "/snapshots") == .folder else { return nil }
        return try snapshot(in: path, hint: id(named: name).map { "hf download \($0)" })
    }

    private static func snapshot(in folder: String, hint: String?) throws(CheckpointError) -> String {
        let reference = folder + "/refs/main", snapshots = folder + "/snapshots"
        guard FileSystem.kind(of: reference) == .file else {
            // Only for the message.
            let versions = (try? FileSystem.names(in: snapshots)) ?? []
            let named = versions.isEmpty ? "" : "; it has the versions " + versions.joined(separator: ", ")
            throw CheckpointError(
                file: folder, "has no refs/main, which names the version to open\(named)",
                hint: versions.first.map { "name one of them: \(snapshots)/\($0)" } ?? hint)
        }
        let text = String(decoding: try FileSystem.contents(of: reference, limit: 4096), as: UTF8.self)
        let commit = String(text.filter { !$0.isWhitespace })
        let path = snapshots + "/" + commit
        guard !commit.isEmpty, !commit.contains("/"), !commit.hasPrefix("."), FileSystem.kind(of: path) == .folder
        else {
            throw CheckpointError(
                file: reference, "names the version '\(commit)', which is not in \(snapshots)", hint: hint)
        }
        return path
    }

    /// The name of a model on the hub that a text is: `org/model`, or `model` of early models.
    private static func id(named text: String) -> String? {
        guard !fileEndings.contains(where: text.lowercased().hasSuffix) else { return nil }
        var text = text[...]
        if text.hasPrefix(prefix) {
            guard !text.contains("/") else { return nil }
            text = text.dropFirst(prefix.count)
            guard let range = text.firstRange(of: separator) else { return valid(text) ? String(text) : nil }
            let (organization, model) = (text[..<range.lowerBound], text[range.upperBound...])
            return valid(organization) && valid(model) ? "\(organization)/\(model)" : nil
        }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count <= 2 && parts.allSatisfy(valid) ? String(text) : nil
    }

    private static func valid(_ part: Substring) -> Bool {
        guard let first = part.utf8.first, first != UInt8(ascii: "."), first != UInt8(ascii: "-") else { return false }
        return part.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                true
            default: false
            }
        }
    }

    /// The name on the hub of the model whose version a path is; `nil` for other paths.
    package static func id(ofSnapshot path: String) -> String? {
        let parts = path.split(separator: "/").suffix(3)
        guard parts.count == 3, parts[parts.startIndex + 1] == "snapshots", let folder = parts.first,
            folder.hasPrefix(prefix)
        else { return nil }
        return id(named: String(folder))
    }

    /// The folder of the cache, as the hub's own tools find it.
    private static var cache: String? {
        if let path = variable("HF_HUB_CACHE") ?? variable("HUGGINGFACE_HUB_CACHE") { return path }
        if let home = variable("HF_HOME") { return home + "/hub" }
        return (variable("XDG_CACHE_HOME") ?? variable("HOME").map { $0 + "/.cache" }).map { $0 + "/huggingface/hub" }
    }

    /// A variable of the environment that holds a path; a tilde at its start is the home folder.
    private static func variable(_ name: String) -> String? {
        guard let value = getenv(name) else { return nil }
        var path = String(cString: value)
        if path.hasPrefix("~/"), let home = getenv("HOME") { path = String(cString: home) + path.dropFirst() }
        while path.count > 1, path.hasSuffix("/") { path.removeLast() }
        return path.isEmpty ? nil : path
    }
}
