internal import Checkpoints
internal import Formats

extension QuantFormats {
    /// What `floatForm` reads, for messages.
    static let floatForms = "bitsandbytes fp8 fbgemm_fp8 modelopt"

    /// The form whose codes are floats that a configuration names; `nil` when it names another kind.
    ///
    /// - Throws: for settings of such a form that are not read.
    static func floatForm(
        method: String, _ settings: JSONObject, file: String, of checkpoint: Checkpoint
    ) throws(CheckpointError) -> (any QuantFormat)? {
        switch (method, settings["format"]?.string ?? settings["quant_algo"]?.string) {
        case ("bitsandbytes", _): return try BitsAndBytes(settings, file: file)
        case ("compressed-tensors", "nvfp4-pack-quantized"):
            return try MicroscaledForm.compressedTensors(settings, scale: .e4m3, file: file)
        case ("compressed-tensors", "mxfp4-pack-quantized"):
            return try MicroscaledForm.compressedTensors(settings, scale: .e8m0, file: file)
        case ("compressed-tensors", "float-quantized"), ("compressed-tensors", "naive-quantized"), ("fp8", _),
            ("fbgemm_fp8", _), ("modelopt", "FP8"):
            return try ScaledFloatForm(settings, file: file, of: checkpoint)
        case ("modelopt", "NVFP4"), ("modelopt", "W4A16_NVFP4"):
            return MicroscaledForm(names: .modelOpt, scale: .e4m3)
        case ("modelopt", let algorithm):
            throw CheckpointError(
                file: file, "names the quant_algo '\(algorithm ?? "none")' of modelopt, which is not read",
                hint: "read: NVFP4 W4A16_NVFP4 FP8")
        default: return nil
        }
    }
}
