using System.CommandLine;
using Bgkvm.Hosting;
using Cloning.Disks;
using Cloning.Instances;
using Spectre.Console;
using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm disk flatten</c>: writes a chain of layers as one file.</summary>
internal sealed class DiskFlattenCommand : CliCommand
{
    private readonly Argument<string[]> _images = new("IMAGE")
    {
        Description = "The disk and the file to be made; with --instance only the file.",
        HelpName = $"[{ImageArgument.Form}] OUT[,format=raw|qcow2]",
        Arity = new ArgumentArity(1, 2),
    };

    private readonly Option<string> _instance = new("--instance")
    {
        Description = "A system disk of this stopped instance instead of an image.",
        HelpName = "NAME",
    };

    private readonly NumberOption _index = new("--index", 0, 31)
    {
        Description = "Which of the instance's system disks (default 0, the first).",
        HelpName = "N",
    };

    /// <summary>Creates it.</summary>
    public DiskFlattenCommand() : base("flatten", "Writes a disk with everything under it into one file.", """
        What reads as zeros becomes a hole. The disk itself stays as it is. When it fails there is no new file.

        Example:
          bgkvm disk flatten --instance demo backup.img
        """)
    {
        Add(_images);
        Add(_instance);
        Add(_index);
        Validators.Add(result =>
        {
            if (result.GetResult(_index) is not null && result.GetResult(_instance) is null) result.AddError("--index goes with --instance");
            if (result.GetValue(_instance) is { } name && !NameArgument.Valid().IsMatch(name)) result.AddError($"--instance: '{name}' is not a name");
            if ((result.GetValue(_images)?.Length == 2) == (result.GetResult(_instance) is not null))
                result.AddError("name either an image and the file to be made, or --instance and the file");
        });
        SetAction(Execute);
    }

    private static ImageArgument Parse(string text) =>
        ImageArgument.Parse(text, out string? error) ?? throw new InstanceException(error!, ExitCode.Usage);

    private static void Flatten(IDiskLayer from, ImageArgument into)
    {
        if (into.Format == DiskFormat.Raw) RawDisk.Create(into.Path, from.LengthBytes);
        else Qcow2Image.Create(into.Path, from.LengthBytes);
        try
        {
            long copied;
            using (IDiskLayer target = DiskChain.Open(into.Path, into.Format, readOnly: false))
            using (ChainCopy copy = new(from, target))
            {
                if (Console.IsOutputRedirected) while (copy.Step()) { }
                else Show(copy);
                copied = copy.CopiedBytes;
            }

            Console.Out.WriteLine($"{into.Path}: {ByteSize.Format(from.LengthBytes)} disk, {ByteSize.Format(copied)} of data");
        }
        catch
        {
            File.Delete(into.Path);
            throw;
        }
    }

    private static void Show(ChainCopy copy) =>
        AnsiConsole.Progress()
            .Columns(new ProgressBarColumn(), new PercentageColumn(), new RemainingTimeColumn())
            .Start(live =>
            {
                ProgressTask task = live.AddTask("", maxValue: copy.TotalBytes);
                do task.Value = copy.DoneBytes;
                while (copy.Step());
                task.Value = copy.TotalBytes;
            });

    private int Execute(ParseResult parsed)
    {
        string[] images = parsed.GetRequiredValue(_images);
        ImageArgument into = Parse(images[^1]);
        if (parsed.GetValue(_instance) is { } name)
        {
            FlattenInstance(Instances.Find(name), parsed.GetValue(_index), into);
            return ExitCode.Done;
        }

        ImageArgument from = Parse(images[0]);
        using IDiskLayer disk = DiskChain.Open(from.Path, from.Format, readOnly: true);
        Flatten(disk, into);
        return ExitCode.Done;
    }

    private static void FlattenInstance(InstanceDirectory directory, int index, ImageArgument into)
    {
        using InstanceLock held = InstanceLock.TryAcquire(directory)
            ?? throw new InstanceException($"{directory.Name} is running; stop it first: bgkvm stop {directory.Name}");
        ManifestFile file = new(directory);
        if (!file.Exists) throw new InstanceException($"{directory.Name} has never run: its disks are the files it is to be started with");
        DiskManifest manifest = file.Read();
        if (index >= manifest.Chains.Count)
            throw new InstanceException($"{directory.Name} has {manifest.Chains.Count} system disks, counted from 0", ExitCode.Usage);
        SystemDisk disk = SystemDisk.Open(directory.Layers, manifest.Chains[index], readOnly: true);
        try
        {
            Flatten(disk.TopLayer, into);
        }
        finally
        {
            disk.Close();
        }
    }
}
