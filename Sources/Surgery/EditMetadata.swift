public import Checkpoints
internal import Formats

/// Sets and removes metadata: GGUF metadata, members of a folder's config.json, or entries of a safetensors header.
public struct EditMetadata: Edit {
    /// A key with its new value as text.
    public struct Assignment: Sendable {
        /// The key.
        public let key: String
        /// The value in the notation of the container.
        public let value: String

        /// An assignment.
        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// The keys to remove, before any is set.
    public let removed: [String]
    /// The keys to set.
    public let assignments: [Assignment]

    /// An edit of metadata.
    public init(removing removed: [String] = [], setting assignments: [Assignment] = []) {
        self.removed = removed
        self.assignments = assignments
    }

    /// The checkpoint with changed metadata. Whether it fits the tensors is checked when it is written.
    public func apply(to checkpoint: Checkpoint) throws(CheckpointError) -> Checkpoint {
        var result = checkpoint
        for key in removed {
            guard result.removeMetadata(key) else {
                throw CheckpointError(file: checkpoint.path, "has no metadata '\(key)' to remove")
            }
        }
        for assignment in assignments { try result.setMetadata(assignment) }
        return result
    }

    /// The notation of a value in a container, for messages.
    public static func spelling(for form: Checkpoint.Form) -> String {
        switch form {
        case .gguf:
            "for GGUF a value is TYPE:VALUE, such as u32:7, str:text, bool:true or [i32]:1,2,3; types: u8 i8 u16 i16 u32 i32 u64 "
                + "i64 f32 f64 bool str"
        case .folder: "for a folder a value is JSON, as in config.json"
        case .safetensors: "for safetensors a value is text"
        }
    }
}

extension Checkpoint {
    /// Removes a key; returns whether it existed.
    fileprivate mutating func removeMetadata(_ key: String) -> Bool {
        switch form {
        case .gguf:
            defer { metadata[key] = nil }
            return metadata[key] != nil
        case .folder:
            defer { config?[key] = nil }
            return config?[key] != nil
        case .safetensors:
            defer { headerMetadata?[key] = nil }
            return headerMetadata?[key] != nil
        }
    }

    /// Sets a key to a value.
    ///
    /// - Throws: when the value is invalid in the container, or resect computes the key.
    fileprivate mutating func setMetadata(_ assignment: EditMetadata.Assignment) throws(CheckpointError) {
        let (key, text) = (assignment.key, assignment.value)
        func wrong(_ problem: String, hint: String) -> CheckpointError {
            CheckpointError(file: path, "metadata '\(key)' \(problem)", hint: hint)
        }
        switch form {
        case .gguf:
            guard !key.hasPrefix("split.") else {
                throw wrong("cannot be set", hint: "resect computes it from the files; use --shard-size to split")
            }
            guard let value = GGUFValue(parsing: text) else {
                throw wrong("cannot have the value '\(text)'", hint: EditMetadata.spelling(for: form))
            }
            metadata[key] = value
        case .folder:
            guard config != nil else { throw wrong("cannot be set", hint: "the folder has no config.json") }
            guard let value = try? JSON.parse(text, allowsNonFinite: true) else {
                throw wrong("cannot have the value '\(text)'", hint: EditMetadata.spelling(for: form))
            }
            config?[key] = value
        case .safetensors:
            headerMetadata = headerMetadata ?? JSONObject()
            headerMetadata?[key] = .string(text)
        }
    }
}
