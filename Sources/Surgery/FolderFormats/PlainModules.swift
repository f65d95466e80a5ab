internal import Formats

/// The modules that stay unquantized in a quantized folder, as quantization settings name them.
struct PlainModules {
    /// Their names in the file.
    let names: [String]
    /// Name components that occur in no quantized module: `vision_tower`. A runtime may name a part differently from
    /// the file, with `model.` in front for example, but keeps these components.
    let towers: [String]

    /// Modules that stay unquantized in a checkpoint with these quantized ones.
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

    /// compressed-tensors' `ignore` list: names, and regular expressions for whole towers.
    var ignored: JSON { .array((names + towers.map { "re:(.*\\.)?\($0)\\..*" }).map(JSON.string)) }

    /// Prefixes of whole towers, with and without `model.`, for lists that match prefixes.
    var prefixes: [String] { towers.flatMap { [$0, "model." + $0] } }
}
