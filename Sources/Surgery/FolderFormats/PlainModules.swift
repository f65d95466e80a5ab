internal import Formats

/// The modules of matrices that stay plain in a packed folder, as the configurations of quantizers name them.
struct PlainModules {
    /// Their names in the file.
    let names: [String]
    /// Components that stand in their names and in no name of a packed module: `vision_tower`. A runtime may give a part
    /// of a model another name than the file, with `model.` before it for example, and keeps these.
    let towers: [String]

    /// Modules that stay plain beside some that are packed.
    init(_ names: [String], quantized: [String]) {
        self.names = names
        var shared: Set<Substring> = []
        for name in quantized { shared.formUnion(name.split(separator: ".")) }
        var towers: [String] = []
        for name in names {
            let parents = name.split(separator: ".").dropLast()
            let own = parents.first { !shared.contains($0) && Int($0) == nil }
            if let own, !towers.contains(String(own)) { towers.append(String(own)) }
        }
        self.towers = towers
    }

    /// The list `ignore` of compressed-tensors: names, and regular expressions for whole towers.
    var ignored: JSON { .array((names + towers.map { "re:(.*\\.)?\($0)\\..*" }).map(JSON.string)) }

    /// What lists of prefixes have behind some names: towers, as files and as runtimes begin.
    var prefixes: [String] { towers.flatMap { [$0, "model." + $0] } }
}
