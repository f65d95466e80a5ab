internal import Checkpoints
internal import Formats

extension Checkpoint {
    /// Adds the members of config.json that transformers 4 wrote, where only those of transformers 5 are there.
    ///
    /// mlx-lm reads the older ones, and for most models only these, and replaces a missing one by a default of its own:
    /// it would compute with 10,000 instead of a `rope_parameters.rope_theta` of 100,000.
    mutating func addOlderMembers() throws(CheckpointError) {
        guard form == .folder, let architecture, var config else { return }
        let settings = Settings(self, architecture), path = Settings.configPath(of: self, architecture)
        func isMissing(_ key: String) -> Bool { [nil, .null].contains(config.value(at: path + [key])) }
        for setting in architecture.settings where setting.layers == nil && settings.isStated(setting.role) {
            guard let key = setting.writtenKey, key.count == 1, isMissing(key[0]),
                let value = try settings.value(setting.role), value.object == nil, value.array == nil, value != .null
            else { continue }
            config.set(setting.written(value), at: (path + key)[...])
        }
        if var rope = config.value(at: path + ["rope_parameters"])?.object, let type = rope["rope_type"]?.string,
            type != "default", isMissing("rope_scaling")
        {
            rope["rope_theta"] = nil
            config.set(.object(rope), at: (path + ["rope_scaling"])[...])
        }
        self.config = config
    }
}
