package import Formats

/// A number of layers that `config.json` states.
package struct StatedCount: Sendable {
    /// Which half of an encoder-decoder model is counted.
    package enum Side: Sendable { case encoder, decoder }

    /// Whose layers are counted.
    package enum Owner: Sendable, Equatable {
        /// Those of the language model.
        case language
        /// Those of a part that the word names: `vision` for `vision_config`.
        case other(String)
    }

    /// The path of the object that contains the count: `["text_config"]`.
    package let path: [String]
    /// The key.
    package let key: String
    /// The number; `nil` for `null`.
    package let value: Int?
    /// The half of an encoder-decoder model; `nil` where the key names none.
    package let side: Side?
    /// The part of the model.
    package let owner: Owner
    /// How many modules for multi-token prediction the same object counts.
    package let predictorCount: Int

    /// The key with its path: `text_config.num_hidden_layers`.
    package var name: String { (path + [key]).joined(separator: ".") }

    /// All layer counts in a configuration, outermost first.
    package static func all(in config: JSONObject) -> [StatedCount] {
        var found: [StatedCount] = []
        collect(config, path: [], .language, nil, &found)
        return found
    }

    private static func collect(
        _ config: JSONObject, path: [String], _ owner: Owner, _ side: Side?, _ found: inout [StatedCount]
    ) {
        let known = LayerSettings.known.counts
        let predictors = known.predictors.compactMap { config[$0]?.int }.max() ?? 0
        for (key, value) in config.members {
            let sideOfKey: Side? =
                known.encoder.contains(key) ? .encoder : known.decoder.contains(key) ? .decoder : nil
            if sideOfKey != nil || known.keys.contains(key) {
                guard value.int != nil || value == .null && sideOfKey != nil else { continue }
                found.append(
                    StatedCount(
                        path: path, key: key, value: value.int, side: sideOfKey ?? side, owner: owner,
                        predictorCount: max(0, predictors)))
            }
        }
        guard path.count < 4 else { return }
        for (key, value) in config.members {
            guard let object = value.object, !StatedCount.isQuantization(key) else { continue }
            let inner: Owner
            switch owner {
            case .other: inner = owner
            case .language:
                inner = known.languageConfigs.contains(key) ? .language : .other(StatedCount.word(of: key))
            }
            let sideOfPath: Side? =
                key.hasPrefix("encoder") ? .encoder : key.hasPrefix("decoder") ? .decoder : side
            collect(object, path: path + [key], inner, sideOfPath, &found)
        }
    }

    /// Whether a member contains quantization settings, which count no layers.
    package static func isQuantization(_ key: String) -> Bool {
        key == "quantization" || key == "quantization_config" || key == "compression_config"
    }

    /// The word that names a part: `vision` of `vision_config`.
    package static func word(of key: String) -> String {
        for ending in ["_config", "_cfg", "_model"] where key.hasSuffix(ending) {
            return String(key.dropLast(ending.count))
        }
        return key
    }
}
