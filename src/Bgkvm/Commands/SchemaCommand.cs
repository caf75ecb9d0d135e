using Bgkvm.Config;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm schema</c>: what a machine file may say.</summary>
internal sealed class SchemaCommand : CliCommand
{
    /// <summary>Creates it.</summary>
    public SchemaCommand() : base("schema", "Prints the JSON schema of machine files.", """
        A machine file is what "bgkvm start NAME --config FILE" runs. Editors and validators understand the schema.

        Example:
          bgkvm schema >machine.schema.json
        """) =>
        SetAction(static (_, cancellation) => PrintAsync(cancellation));

    private static async Task<int> PrintAsync(CancellationToken cancellation)
    {
        await using Stream schema = MachineFile.OpenSchema(), output = Console.OpenStandardOutput();
        await schema.CopyToAsync(output, cancellation);
        return ExitCode.Done;
    }
}
