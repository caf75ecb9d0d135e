namespace Bgkvm.Commands;

/// <summary><c>bgkvm disk</c>: makes, looks at, checks and copies disk images.</summary>
internal sealed class DiskCommand : CliCommand
{
    /// <summary>Creates it.</summary>
    public DiskCommand() : base("disk", "Makes, looks at, checks and copies disk images.", """
        A format is told, never guessed: PATH is raw, PATH,format=qcow2 is a qcow2 image. A comma in the path is doubled.
        A disk that a running instance uses is refused.

        Example:
          bgkvm disk create system.qcow2,format=qcow2 --size 10G
        """)
    {
        Add(new DiskCreateCommand());
        Add(new DiskInfoCommand());
        Add(new DiskCheckCommand());
        Add(new DiskFlattenCommand());
    }
}
