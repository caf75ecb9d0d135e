namespace Vmm.Boot;

/// <summary>A kernel, initrd or command line that cannot be booted. The message is one line for the user.</summary>
/// <param name="message">Which file, and what is wrong with it.</param>
/// <param name="cause">What the host said, or null.</param>
public sealed class BootImageException(string message, Exception? cause = null) : Exception(message, cause);
