using System.Reflection;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm version</c>.</summary>
internal sealed class VersionCommand : CliCommand
{
    /// <summary>Creates it.</summary>
    public VersionCommand() : base("version", "Prints the version.", """
        Example:
          bgkvm version
        """) =>
        SetAction(_ =>
        {
            Console.Out.WriteLine($"bgkvm {Version}");
            return ExitCode.Done;
        });

    /// <summary>The version without the build's commit.</summary>
    internal static string Version { get; } =
        typeof(VersionCommand).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!
            .InformationalVersion.Split('+')[0];
}
