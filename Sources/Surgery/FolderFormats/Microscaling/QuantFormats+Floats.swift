internal import Checkpoints
internal import Formats

extension QuantFormats {
    /// The methods that `floatFormat` reads, for messages.
    static let floatFormats = "bitsandbytes fp8 fbgemm_fp8 modelopt"

    /// The format with float codes that the settings name; `nil` when they name another kind.
    ///
    /// - Throws: for settings that resect does not read.
    static func floatFormat(
        method: String, _ settings: JSONObject, file: String, of checkpoint: Checkpoint
    ) throws(CheckpointError) -> (any QuantFormat)? {
        switch (method, settings["format"]?.string ?? settings["quant_algo"]?.string) {
        case ("bitsandbytes", _): return try BitsAndBytes(settings, file: file)
        case ("compressed-tensors", "nvfp4-pack-quantized"):
            return try MicroscaledFormat.compressedTensors(settings, scale: .e4m3, file: file)
        case ("compressed-tensors", "mxfp4-pack-quantized"):
            return try MicroscaledFormat.compressedTensors(settings, scale: .e8m0, file: file)
        case ("compressed-tensors", "float-quantized"), ("compressed-tensors", "naive-quantized"), ("fp8", _),
            ("fbgemm_fp8", _), ("modelopt", "FP8"):
            return try ScaledFloatFormat(settings, file: file, of: checkpoint)
        case ("modelopt", "NVFP4"), ("modelopt", "W4A16_NVFP4"):
            return MicroscaledFormat(names: .modelOpt, scale: .e4m3)
        case ("modelopt", let algorithm):
            throw CheckpointError(
                file: file, "names the quant_algo '\(algorithm ?? "none")' of modelopt, which resect does not read",
                hint: "read: NVFP4 W4A16_NVFP4 FP8")
        default: return nil
        }
    }
}
