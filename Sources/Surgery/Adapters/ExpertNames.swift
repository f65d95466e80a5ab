/// Names of experts: in runtimes, which have one parameter for a matrix of all experts of a layer, and in files.
struct ExpertNames {
    /// A parameter that holds a weight of all experts.
    struct Parameter {
        /// Its name.
        let parameter: String
        /// The names of the matrices in files whose rows follow each other in the parameter, one list for each naming
        /// of families. mlx-lm uses the first.
        let parts: [[String]]
    }

    /// The name of the module that holds the experts.
    let module: String
    /// The parameters, in their order in a module.
    let parameters: [Parameter]
    /// The two names of the block that holds the experts, in runtimes and in files.
    let blocks: [(runtime: String, file: String)]
    /// The name of the module in which mlx-lm has the experts, with a stack for each of their matrices.
    let stackedModule: String
    /// Model types whose stacks are [experts, inputs, outputs] in files, although PEFT takes them as [experts, outputs,
    /// inputs].
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
