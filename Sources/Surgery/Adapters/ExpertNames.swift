/// How stacks of experts are named in runtimes, and their parts in files.
struct ExpertNames {
    /// A parameter that holds a weight of all experts.
    struct Parameter {
        /// Its name.
        let parameter: String
        /// The names of its parts in files, whose rows follow each other in it; families differ, and mlx-lm has the first.
        let parts: [[String]]
    }

    /// The name of the module that holds the experts.
    let module: String
    /// The parameters, in the order in which modules have them.
    let parameters: [Parameter]
    /// Names of the block that holds the experts: in runtimes, and in files.
    let blocks: [(runtime: String, file: String)]
    /// What mlx-lm calls the module that holds the experts, and has their matrices in, a stack for each kind.
    let stackedModule: String
    /// Models whose stacks are [experts, inputs, outputs], and for PEFT [experts, outputs, inputs]: their class does not say it.
    let reversedModels: Set<String>

    static let known = ExpertNames(
        module: "experts",
        parameters: [
            Parameter(parameter: "gate_up_proj", parts: [["gate_proj", "up_proj"], ["w1", "w3"]]),
            Parameter(parameter: "up_proj", parts: [["up_proj"]]),
            Parameter(parameter: "down_proj", parts: [["down_proj"], ["w2"]]),
        ],
        blocks: [("mlp", "block_sparse_moe")], stackedModule: "switch_mlp",
        reversedModels: ["llama4", "llama4_text"])
}
