using System.CommandLine;
using System.Text.Json;
using Bgkvm.Control;
using Cloning.Instances;
using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm disk check</c>: whether a qcow2 image is consistent in itself.</summary>
internal sealed class DiskCheckCommand : CliCommand
{
    private readonly Argument<ImageArgument> _image = DiskArguments.Image("IMAGE", "The qcow2 image; what is under it is not looked at.");
    private readonly Option<bool> _json = new("--json") { Description = "One JSON object, whatever is found." };

    /// <summary>Creates it.</summary>
    public DiskCheckCommand() : base("check", "Checks whether a qcow2 image is consistent.", """
        Exit code 0: nothing wrong, or leaked clusters only, which waste space and harm nothing (qemu-img check: 0 or 3).
        Exit code 1: the image is corrupt (qemu-img check: 2), or cannot be checked (1).

        Example:
          bgkvm disk check system.qcow2,format=qcow2
        """)
    {
        Add(_image);
        Add(_json);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        ImageArgument image = parsed.GetRequiredValue(_image);
        if (image.Format != DiskFormat.Qcow2)
            throw new InstanceException("a raw disk has nothing to be checked; of a qcow2 image say format=qcow2", ExitCode.Usage);
        DiskCheckReport report = Qcow2Check.Run(image.Path);
        DiskCheck check = new(
            image.Path,
            report.Corruptions > 0 ? "corrupt" : report.Leaks > 0 ? "leaks" : "clean",
            report.Corruptions, report.Leaks, report.AllocatedClusters, report.TotalClusters, report.Problems);
        if (parsed.GetValue(_json)) Console.Out.WriteLine(JsonSerializer.Serialize(check, ControlJson.Default.DiskCheck));
        else Print(check);
        if (check.Corruptions == 0) return ExitCode.Done;
        Cli.Complain($"{image.Path} is corrupt: {check.Corruptions} errors; the first: {check.Problems[0]}");
        return ExitCode.Failed;
    }

    private static void Print(DiskCheck check)
    {
        foreach (string problem in check.Problems) Console.Out.WriteLine(problem);
        if (check.Corruptions + check.Leaks > check.Problems.Count) Console.Out.WriteLine("...");
        Console.Out.WriteLine(check.Result switch
        {
            "clean" => "No errors were found.",
            "leaks" => $"{check.Leaks} leaked clusters: space is wasted, nothing else is wrong.",
            _ => $"{check.Corruptions} errors, {check.Leaks} leaked clusters.",
        });
    }
}
