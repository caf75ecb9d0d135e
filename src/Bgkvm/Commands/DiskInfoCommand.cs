using System.CommandLine;
using System.Text.Json;
using Bgkvm.Control;
using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm disk info</c>: what an image is, and what is under it.</summary>
internal sealed class DiskInfoCommand : CliCommand
{
    private readonly Argument<ImageArgument> _image = DiskArguments.Image("IMAGE", "The disk.");
    private readonly Option<bool> _json = new("--json") { Description = "One JSON object." };

    /// <summary>Creates it.</summary>
    public DiskInfoCommand() : base("info", "Shows what a disk image is and what it is based on.", """
        Example:
          bgkvm disk info system.qcow2,format=qcow2
        """)
    {
        Add(_image);
        Add(_json);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        ImageArgument image = parsed.GetRequiredValue(_image);
        using IDiskLayer disk = DiskChain.Open(image.Path, image.Format, readOnly: true);
        List<DiskLayerInfo> chain = [];
        for (IDiskLayer? layer = disk; layer is not null; layer = (layer as Qcow2Image)?.Backing as IDiskLayer) chain.Add(DiskLayerInfo.Of(layer));
        DiskInfo info = new(disk.LengthBytes, chain);
        if (parsed.GetValue(_json))
        {
            Console.Out.WriteLine(JsonSerializer.Serialize(info, ControlJson.Default.DiskInfo));
            return ExitCode.Done;
        }

        Console.Out.WriteLine($"{ByteSize.Format(info.SizeBytes)} disk");
        Table table = new("LAYER", "FORMAT", "SIZE", "HOLDS", "ON THE HOST", "CLUSTER");
        foreach (DiskLayerInfo layer in chain)
        {
            table.Add(
                layer.Path, layer.Format, ByteSize.Format(layer.SizeBytes),
                layer.AllocatedBytes is { } held ? ByteSize.Format(held) : "-",
                ByteSize.Format(layer.HostBytes), layer.ClusterBytes is { } cluster ? ByteSize.Format(cluster) : "-");
        }

        table.Write(Console.Out);
        return ExitCode.Done;
    }
}
