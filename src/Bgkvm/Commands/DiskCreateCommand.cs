using System.CommandLine;
using Cloning.Instances;
using VirtioBlk.Store;

namespace Bgkvm.Commands;

/// <summary><c>bgkvm disk create</c>: makes an empty disk, or an overlay over another one.</summary>
internal sealed class DiskCreateCommand : CliCommand
{
    private readonly Argument<ImageArgument> _image = DiskArguments.Image("IMAGE", "What to make; there must be no such file yet.");

    private readonly Option<long> _size = new("--size")
    {
        Description = "The disk's size, such as 512M or 10G; with --backing that of the backing unless told.",
        HelpName = "SIZE",
        CustomParser = result => DiskArguments.ParseSize(result, "--size"),
    };

    private readonly Option<long> _cluster = new("--cluster")
    {
        Description = "qcow2 only: the unit of allocation, a power of two from 4K to 2M (default 64K).",
        HelpName = "SIZE",
        CustomParser = result => DiskArguments.ParseSize(result, "--cluster"),
    };

    private readonly Option<ImageArgument> _backing = new("--backing")
    {
        Description = "qcow2 only: the disk that shows through where nothing has been written yet. It must not change any more.",
        HelpName = ImageArgument.Form,
        CustomParser = result => DiskArguments.ParseImage(result, "--backing"),
    };

    /// <summary>Creates it.</summary>
    public DiskCreateCommand() : base("create", "Makes an empty disk image.", """
        The backing's path is stored absolute, its format as it is told.

        Example:
          bgkvm disk create scratch.qcow2,format=qcow2 --backing debian.img
        """)
    {
        Add(_image);
        Add(_size);
        Add(_cluster);
        Add(_backing);
        SetAction(Execute);
    }

    private int Execute(ParseResult parsed)
    {
        ImageArgument image = parsed.GetRequiredValue(_image);
        ImageArgument? backing = parsed.GetValue(_backing);
        long size = parsed.GetValue(_size), cluster = parsed.GetResult(_cluster) is null ? Qcow2Image.DefaultClusterBytes : parsed.GetValue(_cluster);
        if (image.Format == DiskFormat.Raw && (backing is not null || parsed.GetResult(_cluster) is not null))
            throw new InstanceException("a raw disk has neither --backing nor --cluster; say format=qcow2", ExitCode.Usage);
        if (size == 0 && backing is null) throw new InstanceException("a new disk needs --size", ExitCode.Usage);
        if (cluster is < 4096 or > 2 << 20 || !long.IsPow2(cluster))
            throw new InstanceException("--cluster must be a power of two from 4K to 2M", ExitCode.Usage);
        if (size % 512 != 0) throw new InstanceException("--size must be a multiple of 512 bytes", ExitCode.Usage);
        if (backing is not null)
        {
            // Opened even if the size is told: a backing that cannot be read is found out here and not by the guest.
            using IDiskLayer below = DiskChain.Open(backing.Path, backing.Format, readOnly: true);
            if (size == 0) size = below.LengthBytes;
        }

        if (image.Format == DiskFormat.Raw) RawDisk.Create(image.Path, size);
        else Qcow2Image.Create(image.Path, size, backing?.Path, backing?.Format, (int)cluster);
        return ExitCode.Done;
    }
}
