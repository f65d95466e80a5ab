/// One example for every command, which its help shows first.
enum CommandExamples {
    private static let all: [String: String] = [
        "analyze": "resect analyze model --corpus text.txt --drop 4",
        "apply": "resect apply smaller/resect.json model -o again",
        "convert": "resect convert model -o model.gguf",
        "cut": "resect cut model -o smaller --layers 4:6",
        "diff": "resect diff model tuned",
        "evaluate": "resect evaluate model --corpus text.txt --layers 4:6",
        "extract": "resect extract model tuned -o lora --rank 16",
        "formats": "resect formats",
        "generate": "resect generate model --prompt 'Once upon a time'",
        "hash": "resect hash model -o model.json",
        "heal": "resect heal model -o healed --layers 4:6 --corpus builtin",
        "inspect": "resect inspect model",
        "merge": "resect merge model -o tuned --adapter adapter",
        "pack": "resect pack model -o model.resect",
        "quantize": "resect quantize model -o small.gguf --type Q4_K_M",
        "shrink": "resect shrink model -o small.gguf --corpus builtin --drop 25% --type Q4_K_M",
        "tokenize": "resect tokenize model --text text.txt",
        "unpack": "resect unpack model.resect -o restored",
        "verify": "resect verify model.gguf model",
    ]

    /// The example of a command; that of the main command for the program itself.
    static func example(of command: String?) -> String? { all[command ?? "shrink"] }
}
